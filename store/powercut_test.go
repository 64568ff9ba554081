package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// ledger is what callers were told.
type ledger struct {
	mu      sync.Mutex
	accepts map[string]Application
	decided map[string]Decision
}

func (l *ledger) copy() (map[string]Application, map[string]Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, d := make(map[string]Application, len(l.accepts)), make(map[string]Decision, len(l.decided))
	for k, v := range l.accepts {
		a[k] = v
	}
	for k, v := range l.decided {
		d[k] = v
	}
	return a, d
}

// drive accepts and decides until ctx ends, and enters what was answered.
func (l *ledger) drive(ctx context.Context, t *testing.T, s *Store, caller int) {
	for i := 0; ctx.Err() == nil; i++ {
		out, err := s.Accept(ctx, []Application{app(t, fmt.Sprintf("P-%d-%d", caller, i), "1")})
		if err != nil {
			return
		}
		a := out[0].Application
		l.mu.Lock()
		l.accepts[a.ID] = a
		l.mu.Unlock()
		d, err := s.Decide(ctx, []Decision{verdict(a, Generations{Mode: ModeModel, ModeGeneration: 1}, float64(i))})
		if err != nil {
			return
		}
		l.mu.Lock()
		l.decided[a.ID] = d[0].Decision
		l.mu.Unlock()
	}
}

// powerCuts drives a store on a faulty disk, cuts the power a number of times at random and counts answers that the
// images don't hold.
func powerCuts(t *testing.T, o Options, cuts int, seed uint64) (lost, checked int) {
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	d := newFaultyDisk(t)
	o.Dir, o.VFS, o.checkpointPages = t.TempDir(), d.name, 40
	s := openDir(t, o)
	l := &ledger{accepts: map[string]Application{}, decided: map[string]Decision{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() { l.drive(ctx, t, s, c) })
	}
	for range cuts {
		before := s.Stats().Transactions
		for next := before + 20 + random.Int64N(40); s.Stats().Transactions < next; {
			must(t, s.SaveHealth(ctx, []AgentHealth{{Agent: "a"}})) // one more transaction
		}
		accepts, decided := l.copy()
		image := t.TempDir()
		share := random.Float64()
		d.cut(t, image, func() bool { return share > .3 && random.Float64() < share })
		must(t, os.WriteFile(filepath.Join(image, uncleanFile), nil, 0o600))
		checked += len(accepts) + len(decided)
		n, err := missing(t, image, accepts, decided)
		if err != nil {
			t.Logf("the image doesn't open: %v", err)
			n = len(accepts)
		}
		lost += n
	}
	stop()
	wg.Wait()
	if cp := s.Stats().Checkpoints; cp == 0 && o.synchronous == "" {
		t.Error("no checkpoint happened, so none was cut")
	}
	return lost, checked
}

// missing opens an image and counts what isn't there as it was answered.
func missing(t *testing.T, dir string, accepts map[string]Application, decided map[string]Decision) (n int, err error) {
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer func() { must(t, s.Close(context.Background())) }()
	if !s.Unclean() {
		t.Error("an image of a power cut counts as clean")
	}
	var as []storedApplication
	must(t, s.read(t.Context()).Find(&as).Error)
	for _, r := range as {
		delete(accepts, r.ID)
	}
	ds, err := s.RecentDecisions(t.Context(), 1<<30, "")
	must(t, err)
	for _, d := range ds {
		if want, ok := decided[d.ID]; ok && sameDecision(want, d) {
			delete(decided, d.ID)
		}
	}
	return len(accepts) + len(decided), nil
}

func TestPowerCutLosesNoAnswer(t *testing.T) {
	lost, checked := powerCuts(t, Options{}, 12, 1)
	if checked == 0 {
		t.Fatal("nothing was checked")
	}
	if lost > 0 {
		t.Fatalf("%d of %d answers were lost", lost, checked)
	}
}

// TestPowerCutCatchesMissingSync plants the bug that the test above is for.
func TestPowerCutCatchesMissingSync(t *testing.T) {
	lost, checked := powerCuts(t, Options{synchronous: "OFF"}, 3, 2)
	if lost == 0 {
		t.Fatalf("synchronous=OFF lost none of %d answers: the test proves nothing", checked)
	}
}

// answersBeforeSync reports whether a write is answered while the log's sync has not returned.
func answersBeforeSync(t *testing.T, o Options) bool {
	d := newFaultyDisk(t)
	o.Dir, o.VFS = t.TempDir(), d.name
	s := openDir(t, o)
	accept(t, s, app(t, "first", "1")) // the log has its head now
	gate := make(chan struct{})
	d.set(func(d *faultyDisk) { d.gate = gate })
	answer := make(chan error, 1)
	go func() {
		_, err := s.Accept(context.Background(), []Application{app(t, "second", "1")})
		answer <- err
	}()
	early := false
	select {
	case <-d.held: // the sync is being waited for, and has not returned
		select {
		case <-answer:
			early = true
		default:
		}
		d.set(func(d *faultyDisk) { d.gate = nil })
		close(gate)
		if !early {
			must(t, <-answer)
		}
	case err := <-answer:
		must(t, err)
		early = true
		close(gate)
	}
	return early
}

func TestNoAnswerBeforeTheSync(t *testing.T) {
	if answersBeforeSync(t, Options{}) {
		t.Fatal("answered before the log was synced")
	}
}

func TestNoAnswerBeforeTheSyncCatchesMissingSync(t *testing.T) {
	if !answersBeforeSync(t, Options{synchronous: "OFF"}) {
		t.Fatal("synchronous=OFF was not caught: the test proves nothing")
	}
}
