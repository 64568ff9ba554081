package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"aura/mlops/registry"
	"aura/store/pgtest"
)

// testTwoProcessesAddUp: what each process counts and numbers for itself adds up over both, however their writes mix: nothing
// is lost, no number is given twice, and the audit stays one chain.
func testTwoProcessesAddUp(t *testing.T, server *pgtest.Server) {
	const callers, rounds = 3, 12
	s, ctx := two(t, server), t.Context()
	at := time.Unix(1_700_000_040, 0).UTC()
	var mu sync.Mutex
	lives := map[int64]bool{}
	var wg sync.WaitGroup
	for p := range s {
		for caller := range callers {
			wg.Go(func() {
				name := fmt.Sprintf("process-%d-%d", p, caller)
				for n := range rounds {
					again(t, func() error {
						return s[p].AddObjective(ctx, []ObjectiveMinute{{at, 3, 2}, {at.Add(time.Minute), 1, 1}})
					})
					again(t, func() error {
						return s[p].SaveHealth(ctx, []AgentHealth{{Agent: "model", Instance: name, Incarnation: int64(n + 1), State: "RUNNING", Watermark: int64(n)}})
					})
					again(t, func() error {
						return s[p].AppendAudit(ctx, AuditEntry{Actor: name, Kind: "test", Subject: fmt.Sprint(n)})
					})
					again(t, func() error {
						life, err := s[p].NextIncarnation(ctx, "model", "everybody")
						mu.Lock()
						defer mu.Unlock()
						if err == nil && lives[life] {
							t.Errorf("life %d is there twice", life)
						}
						lives[life] = true
						return err
					})
				}
			})
		}
	}
	wg.Wait()
	const all = 2 * callers * rounds
	for p := range s {
		sum, err := s[p].Objective(ctx, at)
		must(t, err)
		equal(t, "counts", sum, ObjectiveMinute{at, 4 * all, 3 * all})
		health, err := s[p].Health(ctx)
		must(t, err)
		equal(t, "instances", len(health), 2*callers)
		for _, h := range health {
			equal(t, "the last that is known of "+h.Instance, [2]int64{h.Incarnation, int64(h.Watermark)}, [2]int64{rounds, rounds - 1})
		}
		r, err := s[p].VerifyAudit(ctx)
		must(t, err)
		equal(t, "audit", [2]int64{r.Records, r.Broken}, [2]int64{all, 0})
	}
	equal(t, "lives", len(lives), all)
}

// testTwoProcessesOneWinner: of two processes that do the same at once one does it, and the other is told.
func testTwoProcessesOneWinner(t *testing.T, server *pgtest.Server) {
	s, ctx := two(t, server), t.Context()
	for n := 1; n <= 2; n++ {
		_, err := s[0].CreateVersion(ctx, version(n))
		must(t, err)
	}
	reference := func(rows int) Reference {
		return Reference{ID: "r", Rows: rows, Document: json.RawMessage(fmt.Sprintf(`{"rows":%d}`, rows)), By: "healing"}
	}
	must(t, s[0].PutReference(ctx, reference(1)))
	lease, err := s[0].AcquireLease(ctx, LeaseHealing, "healing", 1, time.Hour)
	must(t, err)
	_, err = s[0].SetModeByAction(ctx, ActionProof{ActionID: "a1", Nonce: "used", Epoch: lease.Epoch, By: "healing"}, ModeSafe, "")
	must(t, err)
	for name, do := range map[string]func(s *Store, p int) error{
		"key in force": func(s *Store, p int) error {
			return s.PutKey(ctx, fmt.Sprint("key", p), []byte{1}, "", Change{By: "ann", Person: true})
		},
		"setting": func(s *Store, p int) error {
			_, err := s.Set(ctx, Change{Setting: "x", Value: fmt.Sprint(p), By: "ann", Was: new("")})
			return err
		},
		"aliases": func(s *Store, p int) error {
			_, err := s.SetAliases(ctx, map[string]int{registry.Champion: p + 1}, map[string]int{}, "ann", "first")
			return err
		},
		"version": func(s *Store, _ int) error {
			_, err := s.CreateVersion(ctx, version(3))
			return err
		},
		"growth": func(s *Store, p int) error { return s.GrowReference(ctx, reference(2+p), 1) },
		"lease": func(s *Store, p int) error {
			_, err := s.AcquireLease(ctx, "x", fmt.Sprint(p), 1, time.Hour)
			return err
		},
	} {
		var errs [2]error
		var wg sync.WaitGroup
		for p := range s {
			wg.Go(func() { errs[p] = do(s[p], p) })
		}
		wg.Wait()
		won, lost := 0, 0
		for _, err := range errs {
			var refused *Refused
			switch {
			case err == nil:
				won++
			case errors.As(err, &refused), errors.Is(err, registry.ErrMoved), errors.Is(err, registry.ErrTaken):
				lost++
			}
		}
		if won != 1 || lost != 1 {
			t.Errorf("%s: %v", name, errs)
		}
	}
	next, err := s[1].AcquireLease(ctx, LeaseHealing, "healing", 2, time.Hour)
	must(t, err)
	_, err = s[1].SetModeByAction(ctx, ActionProof{ActionID: "a2", Nonce: "used", Epoch: next.Epoch, By: "healing"}, ModeModel, "")
	code(t, err, CodeReplayed)
	e, err := s[1].SetModeByAction(ctx, ActionProof{ActionID: "a1", Nonce: "other", Epoch: next.Epoch, By: "healing"}, ModeSafe, "")
	must(t, err)
	equal(t, "an action that the other process executed", e.Repeated, true)
	r, err := s[0].VerifyAudit(ctx)
	must(t, err)
	equal(t, "audit", r.Broken, int64(0))
}
