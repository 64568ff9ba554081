package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aura/store/pgtest"
)

// two opens the same database twice, as two processes do.
func two(t *testing.T, server *pgtest.Server) [2]*Store {
	t.Helper()
	address := server.Database(t)
	return [2]*Store{openServerAt(t, address), openServerAt(t, address)}
}

// testTwoProcessesStart: processes that find an empty database migrate it once.
func testTwoProcessesStart(t *testing.T, server *pgtest.Server) {
	address := server.Database(t)
	var wg sync.WaitGroup
	for range 3 {
		dir := t.TempDir()
		wg.Go(func() {
			s, err := Open(context.Background(), Options{Dir: dir, URL: address})
			if err != nil {
				t.Error(err)
				return
			}
			closeStore(t, s)
		})
	}
	wg.Wait()
}

// testTwoProcessesDecideOnce lets two processes accept and decide the same applications, each in its own order.
func testTwoProcessesDecideOnce(t *testing.T, server *pgtest.Server) {
	const rounds, rows = 20, 40
	s := two(t, server)
	var mu sync.Mutex
	first := map[string]Decision{}
	var written atomic.Int64
	var wg sync.WaitGroup
	for p := range s {
		for caller := range 4 {
			wg.Go(func() {
				for r := range rounds {
					as := make([]Application, rows)
					for i := range as {
						as[(i*(p+1)+caller)%rows] = app(t, fmt.Sprintf("%d-%d", r, i), "1")
					}
					as = compactApps(as)
					var out []AcceptResult
					again(t, func() (err error) { out, err = s[p].Accept(t.Context(), as); return err })
					ds := make([]Decision, len(out))
					for i := range out {
						ds[i] = verdict(out[i].Application, Generations{Mode: ModeModel, ModeGeneration: 1}, float64(p))
					}
					var done []DecideResult
					again(t, func() (err error) { done, err = s[p].Decide(t.Context(), ds); return err })
					mu.Lock()
					for _, d := range done {
						if before, ok := first[d.Decision.ApplicationID]; ok && !sameDecision(before, d.Decision) {
							t.Errorf("two decisions of %s", d.Decision.ApplicationID)
						}
						first[d.Decision.ApplicationID] = d.Decision
						if d.Status == Written {
							written.Add(1)
						}
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	c, err := s[0].Counts(t.Context())
	must(t, err)
	equal(t, "rows", [3]int64{c.Applications, c.Decisions, c.Undecided}, [3]int64{int64(len(first)), int64(len(first)), 0})
	t.Logf("%d decided once, %d failed transactions", len(first), s[0].Stats().Failed+s[1].Stats().Failed)
}

// compactApps leaves out places that nothing was put in.
func compactApps(as []Application) []Application {
	out := as[:0]
	for _, a := range as {
		if a.ID != "" {
			out = append(out, a)
		}
	}
	return out
}

// again repeats what two processes did to each other (a deadlock); anything else fails the test.
func again(t *testing.T, call func() error) {
	for {
		err := call()
		var u *Unavailable
		if err == nil {
			return
		}
		if !errors.As(err, &u) || u.Code != "locked" {
			t.Error(err)
			return
		}
	}
}

// testTwoProcessesOneFence: once a change of mode has returned in one process, no decision of the old mode commits in the
// other, and the audit stays one chain.
func testTwoProcessesOneFence(t *testing.T, server *pgtest.Server) {
	s := two(t, server)
	ctx, stop := context.WithCancel(t.Context())
	var returned atomic.Int64 // the generation of the last change that has returned
	returned.Store(1)
	var decided, stale atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				least := returned.Load()
				g, err := s[1].Desired(ctx)
				if err != nil {
					return
				}
				a, err := s[1].Accept(ctx, []Application{app(t, "", "1")})
				if err != nil {
					return
				}
				before := returned.Load()
				d, err := s[1].Decide(ctx, []Decision{verdict(a[0].Application, g.Generations, .5)})
				if err != nil {
					return
				}
				switch d[0].Status {
				case Written:
					decided.Add(1)
					if g.ModeGeneration < before {
						t.Errorf("generation %d was committed after %d had returned", g.ModeGeneration, before)
					}
				case Stale:
					stale.Add(1)
				}
				if g.ModeGeneration < least {
					t.Errorf("generation %d was read after %d had returned", g.ModeGeneration, least)
				}
			}
		})
	}
	for i := range 60 {
		n, err := s[i%2].SetMode(t.Context(), []Mode{ModeSafe, ModeModel}[i%2], "ann", "drill")
		must(t, err)
		returned.Store(n)
		for before := decided.Load(); decided.Load() == before && !t.Failed(); {
			runtime.Gosched() // a decision between two changes
		}
	}
	stop()
	wg.Wait()
	if decided.Load() == 0 {
		t.Error("nothing was decided")
	}
	t.Logf("%d decided, %d stale", decided.Load(), stale.Load())
	r, err := s[1].VerifyAudit(t.Context())
	must(t, err)
	equal(t, "audit", [2]int64{r.Records, r.Broken}, [2]int64{60, 0})
}

// testAChangeWaitsForDecisions stops a transaction of decisions after it has read the generations: a change of mode in
// another process must not be answered before that transaction has ended.
func testAChangeWaitsForDecisions(t *testing.T, server *pgtest.Server) {
	address, ctx := server.Database(t), t.Context()
	s := [2]*Store{openServerAt(t, address), openServerAt(t, address)}
	a := accept(t, s[0], app(t, "", "1"))[0].Application
	g := generations(t, s[0])
	db, err := sql.Open("pgx", address)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	other, err := db.BeginTx(ctx, nil)
	must(t, err)
	_, err = other.ExecContext(ctx, "INSERT INTO decisions ("+decisionColumns+") VALUES ($1, '', '', NULL, '', 0, '', 0, '', 0, '', 0, 0, '', 0)", a.ID)
	must(t, err) // who inserts the same row waits for the end of this transaction
	waits := func(kind string) bool {
		var n int
		must(t, db.QueryRowContext(ctx, "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND locktype = $1", kind).Scan(&n))
		return n > 0
	}
	decided, changed := make(chan DecideResult, 1), make(chan error, 1)
	go func() {
		r, err := s[1].Decide(ctx, []Decision{verdict(a, g, .5)})
		if err != nil || len(r) != 1 {
			r = []DecideResult{{}}
		}
		decided <- r[0]
	}()
	for !waits("transactionid") {
		runtime.Gosched()
	}
	go func() {
		_, err := s[0].SetMode(ctx, ModeSafe, "ann", "drill")
		changed <- err
	}()
	for !waits("advisory") && len(changed) == 0 {
		runtime.Gosched()
	}
	equal(t, "the change was answered beside a decision of the old mode", len(changed), 0)
	must(t, other.Rollback())
	equal(t, "the decision", (<-decided).Status, Written)
	must(t, <-changed)
}

// testTwoProcessesOneLease: no directory proves the other process dead, so it has the lease until that expires by the
// database's clock; who lost it writes nothing more.
func testTwoProcessesOneLease(t *testing.T, server *pgtest.Server) {
	s, ctx := two(t, server), t.Context()
	a, err := s[0].AcquireLease(ctx, LeaseHealing, "a", 1, time.Hour)
	must(t, err)
	for _, holder := range []string{"b", "a"} { // nor does who has the same name and number share it
		_, err = s[1].AcquireLease(ctx, LeaseHealing, holder, 1, time.Hour)
		code(t, err, CodeLeaseHeld)
	}
	seen, err := s[1].LeaseOf(ctx, LeaseHealing)
	must(t, err)
	equal(t, "as the other sees it", [2]bool{seen.Held, seen.Free}, [2]bool{false, false})
	_, err = s[1].SetModeByAction(ctx, proof("x", a.Epoch), ModeSafe, "") // the epoch of another process
	code(t, err, CodeStaleEpoch)
	a, err = s[0].RenewLease(ctx, a, time.Microsecond)
	must(t, err)
	seen, err = s[1].LeaseOf(ctx, LeaseHealing)
	must(t, err)
	equal(t, "expired", seen.Free, true)
	b, err := s[1].AcquireLease(ctx, LeaseHealing, "b", 1, time.Hour)
	must(t, err)
	equal(t, "epoch", b.Epoch, a.Epoch+1)
	_, err = s[0].SetModeByAction(ctx, proof("y", a.Epoch), ModeSafe, "")
	code(t, err, CodeStaleEpoch)
	_, err = s[0].RenewLease(ctx, a, time.Hour)
	code(t, err, CodeStaleEpoch)
	_, err = s[1].SetModeByAction(ctx, proof("y", b.Epoch), ModeSafe, "")
	must(t, err)
	next, err := s[0].AcquireLease(ctx, LeaseHealing, "b", 2, time.Hour) // the next life of the same holder, elsewhere
	must(t, err)
	equal(t, "epoch", next.Epoch, b.Epoch+1)
	_, err = s[1].AcquireLease(ctx, LeaseHealing, "b", 1, time.Hour)
	code(t, err, CodeLeaseHeld)
}

// testTwoProcessesOneFloor: the floor of one process passes nothing that the other accepted meanwhile.
func testTwoProcessesOneFloor(t *testing.T, server *pgtest.Server) {
	s, ctx := two(t, server), t.Context()
	early, late := app(t, "", "1"), app(t, "", "2")
	accept(t, s[0], late)
	decide(t, s[0], verdict(late, generations(t, s[0]), .5))
	to, err := s[0].decidedUpTo(ctx, "", late.ID)
	must(t, err)
	accept(t, s[1], early)
	floor, err := write(ctx, s[0], func(t *tx) (string, error) { return t.raiseFloor(to) })
	must(t, err)
	if floor >= early.ID {
		t.Fatalf("the floor %s has passed %s, which waits", floor, early.ID)
	}
	decide(t, s[1], verdict(early, generations(t, s[1]), .5))
	floor, err = s[0].RaiseFloor(ctx, late.ID)
	must(t, err)
	equal(t, "all decided", floor, late.ID)
}

// testFrozenTransaction: a process that stops in the middle of a transaction holds the others up for a bounded time.
func testFrozenTransaction(t *testing.T, server *pgtest.Server) {
	u, err := url.Parse(server.Database(t))
	must(t, err)
	other := openServerAt(t, u.String())
	q := u.Query()
	q.Set("idle_in_transaction_session_timeout", "300ms")
	u.RawQuery = q.Encode()
	frozen := openServerAt(t, u.String())
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := frozen.w.do(context.Background(), func(tx *tx) error {
			close(entered)
			<-leave
			return tx.w.setMark("zombie", "1")
		})
		var down *Unavailable
		if !errors.As(err, &down) {
			t.Errorf("the zombie's write ended with %v", err)
		}
	})
	<-entered
	_, err = other.SetMode(t.Context(), ModeSafe, "ann", "drill")
	close(leave)
	wg.Wait()
	must(t, err)
	_, err = frozen.SetMode(t.Context(), ModeModel, "ann", "back") // it goes on by itself
	must(t, err)
}
