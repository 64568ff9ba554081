package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func outcome(id string, o Outcome) Feedback {
	at := time.Now()
	return Feedback{ApplicationID: id, Outcome: o, ObservedAt: at, ReceivedAt: at}
}

func addFeedback(t *testing.T, s *Store, fs ...Feedback) []FeedbackResult {
	t.Helper()
	out, err := s.AddFeedback(t.Context(), fs)
	must(t, err)
	return out
}

func testFeedbackKinds(t *testing.T, s *Store) {
	a := accept(t, s, app(t, "F-1", "1"))[0].Application
	d := decide(t, s, verdict(a, generations(t, s), .5))[0].Decision
	out := addFeedback(t, s, outcome("F-1", Repaid), outcome(a.ID, Repaid), outcome("F-1", Defaulted), outcome("F-2", Repaid))
	for i, want := range []FeedbackKind{Joined, Duplicate, Contradicting, Unknown} {
		equal(t, fmt.Sprint("kind ", i), out[i].Kind, want)
	}
	equal(t, "joined to", *out[0].Feedback.Decision, d)
	c, err := s.Counts(t.Context())
	must(t, err)
	equal(t, "kept", c.Feedback, map[FeedbackKind]int64{Joined: 1, Duplicate: 1, Contradicting: 1, Unknown: 1})
	rec, err := s.Application(t.Context(), "F-1")
	must(t, err)
	equal(t, "the first stands", rec.Outcome.Outcome, Repaid)
	var refused *Refused
	if _, err := s.AddFeedback(t.Context(), []Feedback{outcome("F-1", "maybe")}); !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
}

func testFeedbackEarlyJoinedOnce(t *testing.T, s *Store) {
	g := generations(t, s)
	a := accept(t, s, app(t, "E-1", "1"))[0].Application
	b := accept(t, s, app(t, "E-2", "1"))[0].Application
	early := outcome("E-1", Defaulted)
	out := addFeedback(t, s, early, outcome("E-1", Defaulted), outcome("E-1", Repaid))
	equal(t, "kinds", [3]FeedbackKind{out[0].Kind, out[1].Kind, out[2].Kind}, [3]FeedbackKind{Early, Duplicate, Contradicting})
	equal(t, "waiting", s.Stats().EarlyWaiting, int64(1))

	equal(t, "another one's decision", decide(t, s, verdict(b, g, .5))[0].Joined, (*Feedback)(nil))
	r := decide(t, s, verdict(a, g, .5), verdict(a, g, .6))
	if r[0].Joined == nil || r[1].Joined != nil {
		t.Fatalf("joined %v and %v", r[0].Joined, r[1].Joined)
	}
	equal(t, "outcome", r[0].Joined.Outcome, Defaulted)
	equal(t, "decision", *r[0].Joined.Decision, r[0].Decision)
	equal(t, "observed", r[0].Joined.ObservedAt, early.ObservedAt.Truncate(time.Microsecond).UTC())
	equal(t, "waiting", s.Stats().EarlyWaiting, int64(0))
	equal(t, "after that", addFeedback(t, s, early)[0].Kind, Duplicate)
	c, err := s.Counts(t.Context())
	must(t, err)
	equal(t, "counted once", c.Feedback[Joined], int64(1))
}

// testFeedbackUnannounced: what is joined, at once or by its decision, is unannounced until somebody says otherwise.
func testFeedbackUnannounced(t *testing.T, s *Store) {
	ctx := t.Context()
	g := generations(t, s)
	a := accept(t, s, app(t, "U-1", "1"))[0].Application
	b := accept(t, s, app(t, "U-2", "1"))[0].Application
	da := decide(t, s, verdict(a, g, .5))[0].Decision
	addFeedback(t, s, outcome("U-2", Defaulted), outcome("U-1", Repaid), outcome("U-1", Repaid), outcome("nobody", Repaid))
	left, err := s.Unannounced(ctx, 10)
	must(t, err)
	equal(t, "joined", len(left), 1)
	equal(t, "with its decision", *left[0].Decision, da)
	equal(t, "outcome", left[0].Outcome, Repaid)
	decide(t, s, verdict(b, g, .5))
	left, err = s.Unannounced(ctx, 10)
	must(t, err)
	equal(t, "joined by the decision too", len(left), 2)
	one, err := s.Unannounced(ctx, 1)
	must(t, err)
	equal(t, "limit", len(one), 1)
	must(t, s.Announced(ctx, []string{a.ID, "nobody"}))
	left, err = s.Unannounced(ctx, 10)
	must(t, err)
	equal(t, "left", len(left), 1)
	equal(t, "the other", left[0].Decision.ID, b.ID)
	must(t, s.Announced(ctx, []string{a.ID, b.ID}))
	left, err = s.Unannounced(ctx, 10)
	must(t, err)
	equal(t, "none left", len(left), 0)
}

func testUndecided(t *testing.T, s *Store) {
	ctx := t.Context()
	g := generations(t, s)
	var as []Application
	for i := range 10 {
		as = append(as, accept(t, s, app(t, "", fmt.Sprint(i)))[0].Application)
	}
	for _, i := range []int{0, 1, 2, 5} {
		decide(t, s, verdict(as[i], g, .5))
	}
	var seen []Application
	for after := ""; ; {
		page, err := s.Undecided(ctx, after, "", 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		seen = append(seen, page...)
		after = page[len(page)-1].ID
	}
	equal(t, "undecided", seen, []Application{as[3], as[4], as[6], as[7], as[8], as[9]})

	bounded, err := s.Undecided(ctx, as[3].ID, as[7].ID, 10)
	must(t, err)
	equal(t, "undecided up to an id", bounded, []Application{as[4], as[6], as[7]})

	floor, err := s.RaiseFloor(ctx, as[9].ID)
	must(t, err)
	if floor < as[2].ID || floor >= as[3].ID {
		t.Fatalf("floor %s is not between %s and %s", floor, as[2].ID, as[3].ID)
	}
	page, err := s.Undecided(ctx, floor, "", 100)
	must(t, err)
	equal(t, "from the floor", len(page), 6)
	for _, a := range as {
		decide(t, s, verdict(a, g, .5))
	}
	floor, err = s.RaiseFloor(ctx, as[9].ID)
	must(t, err)
	equal(t, "all decided", floor, as[9].ID)

	// A clock that was set back gives ids below the floor: they must still be found.
	late := app(t, "", "late")
	late.ID = "00000000-0000-7000-8000-000000000001"
	accept(t, s, late)
	floor, err = s.Floor(ctx)
	must(t, err)
	page, err = s.Undecided(ctx, floor, "", 100)
	must(t, err)
	if len(page) != 1 || page[0].ID != late.ID {
		t.Fatalf("an application below the floor is lost: %v", page)
	}
}

// testFloorWhileAccepting accepts an id below the new floor after the look and before the move.
func testFloorWhileAccepting(t *testing.T, s *Store) {
	ctx := t.Context()
	early, late := app(t, "", "1"), app(t, "", "2")
	accept(t, s, late)
	decide(t, s, verdict(late, generations(t, s), .5))
	_, err := write(ctx, s, func(t *tx) (int, error) { t.w.memo.least = ""; return 0, nil })
	must(t, err)
	to, err := s.decidedUpTo(ctx, "", late.ID)
	must(t, err)
	equal(t, "found", to, late.ID)
	accept(t, s, early)
	floor, err := write(ctx, s, func(t *tx) (string, error) { return t.raiseFloor(to) })
	must(t, err)
	page, err := s.Undecided(ctx, floor, "", 10)
	must(t, err)
	if len(page) != 1 || page[0].ID != early.ID {
		t.Fatalf("an application below the new floor %s is lost", floor)
	}
}

func testRecentDecisions(t *testing.T, s *Store) {
	g := generations(t, s)
	var want []Decision
	for i := range 7 {
		a := accept(t, s, app(t, fmt.Sprint("R-", i), "1"))[0].Application
		want = append([]Decision{decide(t, s, verdict(a, g, .5))[0].Decision}, want...)
	}
	var got []Decision
	for before := ""; ; before = got[len(got)-1].ID {
		page, err := s.RecentDecisions(t.Context(), 3, before)
		must(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	equal(t, "decisions", got, want)
}

// aged makes an application that was accepted ago.
func aged(t *testing.T, ago time.Duration, source string) Application {
	at := time.Now().Add(-ago)
	a := app(t, "", "1")
	a.ID = idFloor(at) + a.ID[14:]
	a.AcceptedAt, a.Source = at, source
	return a
}

func testPurge(t *testing.T, s *Store) {
	ctx, g := t.Context(), generations(t, s)
	policy := Policy{Simulated: time.Hour, Others: 24 * time.Hour, Chunk: 3}
	var keep, drop []Application
	for range 8 {
		drop = append(drop, aged(t, 2*time.Hour, SourceSimulator), aged(t, 48*time.Hour, "http"))
		keep = append(keep, aged(t, time.Minute, SourceSimulator), aged(t, 2*time.Hour, "http"))
	}
	undecided := aged(t, 2*time.Hour, SourceSimulator)
	accept(t, s, append(append([]Application{undecided}, keep...), drop...)...)
	for _, a := range append(append([]Application{}, keep...), drop...) {
		decide(t, s, verdict(a, g, .5))
		addFeedback(t, s, outcome(a.ID, Repaid))
	}
	loose := outcome("nobody", Repaid)
	loose.ReceivedAt = time.Now().Add(-48 * time.Hour)
	addFeedback(t, s, loose, outcome("nobody", Repaid))

	p, err := s.Purge(ctx, time.Now(), Policy{Simulated: time.Hour, Others: 24 * time.Hour, Chunk: 3, Chunks: 2})
	must(t, err)
	equal(t, "bounded", p, Purged{Applications: 6, Feedback: 6, More: true})
	for p.More {
		p, err = s.Purge(ctx, time.Now(), policy)
		must(t, err)
	}
	c, err := s.Counts(ctx)
	must(t, err)
	equal(t, "counts", c, Counts{
		Applications: 17, Decisions: 16, Undecided: 1, Feedback: map[FeedbackKind]int64{Joined: 16, Unknown: 1},
	})
	for _, a := range append(keep, undecided) {
		_, err := s.Application(ctx, a.ID)
		must(t, err)
	}
}

func testGoneAfterPurge(t *testing.T, s *Store) {
	g := generations(t, s)
	old, other := aged(t, 2*time.Hour, SourceSimulator), aged(t, 3*time.Hour, SourceSimulator)
	accept(t, s, old, other)
	decide(t, s, verdict(old, g, .5))
	_, err := s.Purge(t.Context(), time.Now(), Policy{Simulated: time.Hour})
	must(t, err)
	equal(t, "a zombie's second decision", decide(t, s, verdict(old, g, .9))[0].Status, Gone)
	equal(t, "a lower id that is there", decide(t, s, verdict(other, g, .9))[0].Status, Written)
}

func testAJobFailsAlone(t *testing.T, s *Store) {
	boom := errors.New("boom")
	// One slow job first, so that the others meet in one transaction behind it.
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.w.do(context.Background(), func(*tx) error { close(entered); <-leave; return nil })
	})
	<-entered
	parts := []*request{
		{job: func(t *tx) error { return t.w.setMark("kept", "1") }},
		{job: func(t *tx) error { return errors.Join(t.w.setMark("undone", "1"), boom) }},
		{job: func(t *tx) error { return t.w.setMark("kept too", "1") }},
	}
	must(t, s.w.q.put(parts...))
	before := s.Stats().Transactions
	close(leave)
	wg.Wait()
	must(t, parts[0].wait(t.Context()))
	must(t, parts[2].wait(t.Context()))
	if err := parts[1].wait(t.Context()); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	equal(t, "transactions", s.Stats().Transactions-before, int64(2))
	var marks []storedMark
	must(t, s.read(t.Context()).Where("value = '1'").Order("name").Find(&marks).Error)
	equal(t, "marks", marks, []storedMark{{"kept", "1"}, {"kept too", "1"}})
}

func testCallThatEnds(t *testing.T, s *Store) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.w.do(context.Background(), func(*tx) error { close(entered); <-leave; return nil })
	})
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	late := &request{accepts: []Application{app(t, "late", "1")}, accepted: make([]AcceptResult, 1)}
	must(t, s.w.q.put(late))
	equal(t, "queued behind the job", s.Stats().QueueAccepts, 1)
	cancel()
	if err := late.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Accept(ctx, []Application{app(t, "late", "1")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(leave)
	wg.Wait()
	equal(t, "the next call sees nothing of it", accept(t, s, app(t, "late", "2"))[0].Status, New)
}

// testHammer drives many callers with few ids, while the mode changes; every answer about an id must be the same row.
func testHammer(t *testing.T, s *Store) {
	const callers, rounds, ids = 16, 30, 20
	var mu sync.Mutex
	seen := map[string]Decision{}
	var wg sync.WaitGroup
	ctx := t.Context()
	for c := range callers {
		wg.Go(func() {
			for r := range rounds {
				client := fmt.Sprint("H-", (c*7+r)%ids)
				out, err := s.Accept(ctx, []Application{app(t, client, "1")})
				if err != nil || out[0].Status == Conflict {
					t.Errorf("accept: %v %v", err, out)
					return
				}
				a := out[0].Application
				st, err := s.Desired(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				d, err := s.Decide(ctx, []Decision{verdict(a, st.Generations, float64(c)/callers)})
				if err != nil {
					t.Error(err)
					return
				}
				if d[0].Status == Stale {
					continue
				}
				mu.Lock()
				first, ok := seen[a.ID]
				if !ok {
					seen[a.ID] = d[0].Decision
				}
				mu.Unlock()
				if ok && !sameDecision(first, d[0].Decision) {
					t.Errorf("two decisions of %s: %+v and %+v", a.ID, first, d[0].Decision)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if _, err := s.SetMode(ctx, []Mode{ModeSafe, ModeModel}[i%2], "ann", "hammer"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	c, err := s.Counts(ctx)
	must(t, err)
	equal(t, "applications", c.Applications, int64(ids))
	equal(t, "decisions", c.Decisions, int64(len(seen)))
}

func sameDecision(a, b Decision) bool {
	return *a.Probability == *b.Probability && a.DecidedAt.Equal(b.DecidedAt) && a.Mode == b.Mode && a.ModeGeneration == b.ModeGeneration
}

// testKnown: an application is known by our id and by the client's, and nothing else is.
func testKnown(t *testing.T, s *Store) {
	ctx := t.Context()
	a := accept(t, s, app(t, "client-1", "x"), app(t, "", "y"))[0].Application
	known, err := s.Known(ctx, []string{a.ID, "client-1", "client-2", ""})
	must(t, err)
	equal(t, "known", known, map[string]bool{a.ID: true, "client-1": true})
	known, err = s.Known(ctx, nil)
	must(t, err)
	equal(t, "of no ids", len(known), 0)
}
