package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// healingMachine holds a store against a model of leases and effects; at any point the process may die.
type healingMachine struct {
	t    *testing.T
	s    *Store
	base string
	dirs int

	// The model: the present holder ("" for a dead process' or none), its incarnation, the epoch.
	holder      string
	incarnation int64
	epoch       int64
	released    bool
	stale       []int64 // epochs that are over
	mode        Mode
	modeBy      string
	held        bool
	effects     map[string]Effect
	nonces      map[string]bool
	era         int64
}

// crash does what kill -9 leaves: the files as they are, log included, and opens them again.
func (m *healingMachine) crash(r *rapid.T) {
	m.dirs++
	dir := filepath.Join(m.base, fmt.Sprint(m.dirs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.Fatal(err)
	}
	for _, name := range []string{databaseFile, databaseFile + "-wal", uncleanFile} {
		content, err := os.ReadFile(filepath.Join(m.s.Dir(), name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	m.close(r)
	s, err := Open(context.Background(), Options{Dir: dir, synchronous: "OFF"})
	if err != nil {
		r.Fatal(err)
	}
	if !s.Unclean() {
		r.Fatal("that was no crash")
	}
	m.s = s
	a, err := s.VerifyAudit(context.Background())
	if err != nil || a.Broken != 0 {
		r.Fatalf("audit: %+v %v", a, err)
	}
	if m.holder != "" {
		m.holder, m.stale = "", append(m.stale, m.epoch)
	}
}

func (m *healingMachine) close(r *rapid.T) {
	if err := m.s.Close(context.Background()); err != nil {
		r.Fatal(err)
	}
}

func refusedWith(err error, want string) bool {
	var refused *Refused
	return errors.As(err, &refused) && refused.Code == want
}

func (m *healingMachine) acquire(r *rapid.T) {
	holder := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "holder")
	incarnation := int64(rapid.IntRange(1, 4).Draw(r, "incarnation"))
	l, err := m.s.AcquireLease(context.Background(), LeaseHealing, holder, incarnation, time.Hour)
	mine := m.holder == holder
	switch {
	case mine && incarnation < m.incarnation, m.holder != "" && !mine && !m.released:
		if !refusedWith(err, CodeLeaseHeld) {
			r.Fatalf("%s/%d took the lease of %s/%d: %+v %v", holder, incarnation, m.holder, m.incarnation, l, err)
		}
		return
	case mine && incarnation == m.incarnation && !m.released:
	default:
		if m.epoch > 0 && m.holder != "" {
			m.stale = append(m.stale, m.epoch)
		}
		m.epoch++
	}
	m.holder, m.incarnation, m.released = holder, incarnation, false
	if err != nil || l.Epoch != m.epoch || !l.Held {
		r.Fatalf("%s/%d got %+v %v, want epoch %d", holder, incarnation, l, err, m.epoch)
	}
}

func (m *healingMachine) release(r *rapid.T) {
	if m.holder == "" {
		r.Skip("nobody has it")
	}
	l := Lease{Name: LeaseHealing, Epoch: m.epoch}
	if err := m.s.ReleaseLease(context.Background(), l); err != nil {
		r.Fatal(err)
	}
	m.released = true
}

// anEpoch is the right one, or one that is over.
func (m *healingMachine) anEpoch(r *rapid.T) (epoch int64, good bool) {
	if len(m.stale) > 0 && rapid.IntRange(0, 3).Draw(r, "stale") == 0 {
		return rapid.SampledFrom(m.stale).Draw(r, "epoch"), false
	}
	return m.epoch, m.holder != ""
}

func (m *healingMachine) act(r *rapid.T) {
	epoch, good := m.anEpoch(r)
	id := fmt.Sprint("a", rapid.IntRange(1, 6).Draw(r, "action"))
	nonce := fmt.Sprint("n", rapid.IntRange(1, 8).Draw(r, "nonce"))
	mode := rapid.SampledFrom([]Mode{ModeModel, ModeSafe}).Draw(r, "mode")
	e, err := m.s.SetModeByAction(context.Background(), ActionProof{id, nonce, epoch, "healing"}, mode, "x")
	was, done := m.effects[id]
	want := ""
	switch {
	case !good:
		want = CodeStaleEpoch
	case done:
		was.Repeated = true
		if err != nil || !reflect.DeepEqual(e, was) {
			r.Fatalf("action %s again: %+v %v, want %+v", id, e, err, was)
		}
		return
	case m.nonces[nonce]:
		want = CodeReplayed
	case m.held:
		want = CodeHeld
	}
	if want != "" {
		if !refusedWith(err, want) {
			r.Fatalf("action %s: %+v %v, want %s", id, e, err, want)
		}
		return
	}
	if err != nil || e.Value != string(mode) || e.Previous != string(m.mode) || e.Repeated || e.Era <= m.era {
		r.Fatalf("action %s: %+v %v", id, e, err)
	}
	m.mode, m.modeBy, m.effects[id], m.nonces[nonce], m.era = mode, id, e, true, e.Era
}

func (m *healingMachine) person(r *rapid.T) {
	m.mode = rapid.SampledFrom([]Mode{ModeModel, ModeSafe}).Draw(r, "mode")
	if _, err := m.s.SetMode(context.Background(), m.mode, "ann", "x"); err != nil {
		r.Fatal(err)
	}
	m.held, m.modeBy = m.mode == ModeSafe, "ann"
	m.era++
}

func (m *healingMachine) checkpoint(r *rapid.T) {
	epoch, good := m.anEpoch(r)
	err := m.s.SaveCheckpoint(context.Background(), LeaseHealing, epoch, []byte{byte(epoch)})
	if good != (err == nil) || (!good && !refusedWith(err, CodeStaleEpoch)) {
		r.Fatalf("epoch %d, now %d: %v", epoch, m.epoch, err)
	}
}

// check compares what is stored with the model.
func (m *healingMachine) check(r *rapid.T) {
	ctx := context.Background()
	st, err := m.s.Desired(ctx)
	if err != nil || st.Mode != m.mode || st.Era != m.era {
		r.Fatalf("mode %s, era %d (%v), want %s, %d", st.Mode, st.Era, err, m.mode, m.era)
	}
	for id, want := range m.effects {
		e, err := m.s.Executed(ctx, id)
		if err != nil || !reflect.DeepEqual(e, want) {
			r.Fatalf("effect of %s: %+v %v, want %+v", id, e, err, want)
		}
		c, err := m.s.Superseded(ctx, id)
		if err != nil || (c == nil) != (m.modeBy == id) {
			r.Fatalf("%s superseded: %+v %v, but the mode is %s's", id, c, err, m.modeBy)
		}
	}
}

func TestHealingStateMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &healingMachine{
			t: t, base: t.TempDir(), mode: ModeModel, effects: map[string]Effect{}, nonces: map[string]bool{},
		}
		s, err := Open(context.Background(), Options{Dir: filepath.Join(m.base, "0"), synchronous: "OFF"})
		if err != nil {
			r.Fatal(err)
		}
		m.s = s
		defer func() { m.close(r) }()
		r.Repeat(map[string]func(*rapid.T){
			"":           m.check,
			"acquire":    m.acquire,
			"release":    m.release,
			"act":        m.act,
			"act again":  m.act,
			"person":     m.person,
			"checkpoint": m.checkpoint,
			"crash":      m.crash,
		})
	})
}
