package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"aura/mlops/schema"
)

// opener opens an empty store that is closed by the test. The suite holds for every database behind it.
type opener func(t *testing.T) *Store

// suite is what any database must do.
func suite(t *testing.T, open opener) {
	for name, test := range map[string]func(*testing.T, *Store){
		"AcceptNewSameConflict":      testAcceptNewSameConflict,
		"AcceptDuplicatesInABatch":   testAcceptDuplicatesInABatch,
		"AcceptOurIDAsTheClients":    testAcceptOurIDAsTheClients,
		"AcceptManyInOneCall":        testAcceptManyInOneCall,
		"DecideOnceAndReadBack":      testDecideOnceAndReadBack,
		"DecideStale":                testDecideStale,
		"DecideTechnicalAnytime":     testDecideTechnicalAnytime,
		"SetModeAndHold":             testSetModeAndHold,
		"FeedbackKinds":              testFeedbackKinds,
		"FeedbackEarlyJoinedOnce":    testFeedbackEarlyJoinedOnce,
		"FeedbackUnannounced":        testFeedbackUnannounced,
		"Undecided":                  testUndecided,
		"Known":                      testKnown,
		"FloorWhileAccepting":        testFloorWhileAccepting,
		"RecentDecisions":            testRecentDecisions,
		"Incarnations":               testIncarnations,
		"Health":                     testHealth,
		"PurgeKeepsUndecided":        testPurge,
		"GoneAfterPurge":             testGoneAfterPurge,
		"AJobFailsAlone":             testAJobFailsAlone,
		"ACallThatEndsWritesNothing": testCallThatEnds,
		"Hammer":                     testHammer,
		"Versions":                   testVersions,
		"Aliases":                    testAliases,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func newID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	must(t, err)
	return id.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// app makes an application; the body stands for the whole request.
func app(t testing.TB, client, body string) Application {
	t.Helper()
	digest := sha256.Sum256([]byte(body))
	return Application{
		ID: newID(t), ApplicationID: client, Features: []byte(`{"x":` + body + `}`), BodyDigest: digest[:], Source: "http",
		TraceID: "0af7651916cd43dd8448eb211c80319c", AcceptedAt: time.Now(),
	}
}

// verdict makes a decision that fits the generations g.
func verdict(a Application, g Generations, pd float64) Decision {
	return Decision{
		ID: a.ID, ApplicationID: a.ApplicationID, AcceptedAt: a.AcceptedAt, Source: a.Source, TraceID: a.TraceID,
		Decision: schema.Decline, Probability: &pd,
		Reasons:      []schema.Reason{{Code: "R1", Feature: "income", Text: "income is low", Contribution: 0.1 + pd/3}},
		ModelVersion: 3, ModelDigest: "abc", Generation: g.ChampionGeneration, Mode: g.Mode, ModeGeneration: g.ModeGeneration,
		DecidedAt: time.Now(), Latency: 1234567 * time.Nanosecond, Incarnation: 7,
	}
}

func accept(t testing.TB, s *Store, as ...Application) []AcceptResult {
	t.Helper()
	out, err := s.Accept(t.Context(), as)
	must(t, err)
	return out
}

func decide(t testing.TB, s *Store, ds ...Decision) []DecideResult {
	t.Helper()
	out, err := s.Decide(t.Context(), ds)
	must(t, err)
	return out
}

func generations(t testing.TB, s *Store) Generations {
	t.Helper()
	st, err := s.Desired(t.Context())
	must(t, err)
	return st.Generations
}

func testAcceptNewSameConflict(t *testing.T, s *Store) {
	a := app(t, "A-1", "1")
	r := accept(t, s, a)[0]
	equal(t, "status", r.Status, New)
	rec, err := s.Application(t.Context(), "A-1")
	must(t, err)
	equal(t, "row read back", rec.Application, r.Application)

	again := app(t, "A-1", "1")
	r2 := accept(t, s, again)[0]
	equal(t, "again", r2, AcceptResult{Status: Same, Application: r.Application})
	r3 := accept(t, s, app(t, "A-1", "2"))[0]
	equal(t, "another body", r3, AcceptResult{Status: Conflict, Application: r.Application})

	d := decide(t, s, verdict(r.Application, generations(t, s), .5))[0]
	r4 := accept(t, s, again)[0]
	if r4.Decision == nil {
		t.Fatal("the decision is not in the answer")
	}
	equal(t, "the decision", *r4.Decision, d.Decision)
	equal(t, "a retry by our id alone", accept(t, s, a)[0].Status, Same)

	noID := app(t, "", "1")
	r5 := accept(t, s, noID)[0]
	equal(t, "application id", r5.Application.ApplicationID, noID.ID)
	if _, err := s.Application(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func testAcceptDuplicatesInABatch(t *testing.T, s *Store) {
	one, two, other := app(t, "B-1", "1"), app(t, "B-1", "1"), app(t, "B-1", "2")
	fine := app(t, "B-2", "1")
	out := accept(t, s, one, two, other, fine, fine)
	for i, want := range []AcceptStatus{New, Same, Conflict, New, Same} {
		equal(t, fmt.Sprint("status ", i), out[i].Status, want)
	}
	equal(t, "the same row", out[1].Application, out[0].Application)
	c, err := s.Counts(t.Context())
	must(t, err)
	equal(t, "rows", c.Applications, int64(2))
}

func testAcceptOurIDAsTheClients(t *testing.T, s *Store) {
	a := app(t, "", "1")
	stored := accept(t, s, a)[0].Application
	out := accept(t, s, app(t, a.ID, "1"), app(t, a.ID, "2"), app(t, newID(t), "3"))
	equal(t, "same", out[0], AcceptResult{Status: Same, Application: stored})
	equal(t, "conflict", out[1].Status, Conflict)
	equal(t, "a client's own uuid", out[2].Status, New)
}

func testAcceptManyInOneCall(t *testing.T, s *Store) {
	var as []Application
	for i := range 1111 {
		as = append(as, app(t, "", fmt.Sprint(i)))
	}
	for i, r := range accept(t, s, as...) {
		if r.Status != New || r.Application.ID != as[i].ID {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	for _, r := range accept(t, s, as...) {
		equal(t, "again", r.Status, Same)
	}
}

func testDecideOnceAndReadBack(t *testing.T, s *Store) {
	a := accept(t, s, app(t, "D-1", "1"))[0].Application
	g := generations(t, s)
	first, second := verdict(a, g, .25), verdict(a, g, .75)
	out := decide(t, s, first, second)
	equal(t, "first", out[0].Status, Written)
	equal(t, "second", out[1].Status, Already)
	equal(t, "the second gets the first's row", out[1].Decision, out[0].Decision)
	rec, err := s.Application(t.Context(), a.ID)
	must(t, err)
	equal(t, "read by id", *rec.Decision, out[0].Decision)
	equal(t, "later", decide(t, s, second)[0], DecideResult{Status: Already, Decision: out[0].Decision, Current: g})

	bare := accept(t, s, app(t, "", "2"))[0].Application
	d := Decision{ID: bare.ID, AcceptedAt: bare.AcceptedAt, Source: bare.Source, Decision: schema.Approve, Mode: ModeModel, ModeGeneration: 1}
	w := decide(t, s, d)[0]
	rec, err = s.Application(t.Context(), bare.ID)
	must(t, err)
	equal(t, "without probability and reasons", *rec.Decision, w.Decision)
}

func testDecideStale(t *testing.T, s *Store) {
	old := generations(t, s)
	a := accept(t, s, app(t, "", "1"))[0].Application
	done := accept(t, s, app(t, "", "2"))[0].Application
	decide(t, s, verdict(done, old, .5))
	g, err := s.SetMode(t.Context(), ModeSafe, "ann", "drill")
	must(t, err)
	now := generations(t, s)
	equal(t, "generation", now.ModeGeneration, g)
	if g <= old.ModeGeneration {
		t.Fatalf("generation went from %d to %d", old.ModeGeneration, g)
	}
	r := decide(t, s, verdict(a, old, .5), verdict(done, old, .7))
	equal(t, "stale", r[0], DecideResult{Status: Stale, Current: now})
	equal(t, "decided before", r[1].Status, Already)
	wrong := verdict(a, now, .5)
	wrong.Mode = ModeModel
	equal(t, "the right number under the wrong mode", decide(t, s, wrong)[0].Status, Stale)
	safe := verdict(a, now, .5)
	safe.Generation = 99 // no model took part
	equal(t, "safe mode", decide(t, s, safe)[0].Status, Written)

	_, err = s.SetMode(t.Context(), ModeModel, "ann", "over")
	must(t, err)
	now = generations(t, s)
	b := accept(t, s, app(t, "", "3"))[0].Application
	v := verdict(b, now, .5)
	v.Generation++
	equal(t, "another champion", decide(t, s, v)[0].Status, Stale)
	equal(t, "right", decide(t, s, verdict(b, now, .5))[0].Status, Written)
}

func testDecideTechnicalAnytime(t *testing.T, s *Store) {
	a := accept(t, s, app(t, "", "1"))[0].Application
	d := Decision{ID: a.ID, Decision: schema.Refer, Mode: ModeModel, Rule: RuleTechnical, DecidedAt: time.Now()}
	equal(t, "technical", decide(t, s, d)[0].Status, Written)
}

func testSetModeAndHold(t *testing.T, s *Store) {
	ctx := t.Context()
	auto := Change{Setting: SettingMode, Value: string(ModeSafe), By: "healing", Reason: "latency"}
	v, err := s.Set(ctx, auto)
	must(t, err)
	equal(t, "generation", v.Generation, int64(2))
	g, err := s.SetMode(ctx, ModeSafe, "ann", "mine now")
	must(t, err)
	equal(t, "the same mode keeps its generation", g, int64(2))
	auto.Value = string(ModeModel)
	var refused *Refused
	if _, err := s.Set(ctx, auto); !errors.As(err, &refused) || refused.Code != CodeHeld {
		t.Fatalf("automation undid a person's hold: %v", err)
	}
	_, err = s.SetMode(ctx, ModeModel, "ann", "back")
	must(t, err)
	auto.Value = string(ModeSafe)
	_, err = s.Set(ctx, auto)
	must(t, err)
	if _, err := s.SetMode(ctx, "NO_MODE", "ann", ""); !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	h, err := s.ConfigHistory(ctx, 10, 0)
	must(t, err)
	equal(t, "history", len(h), 4)
	equal(t, "latest", [3]string{h[0].Value, h[0].Previous, h[0].Owner}, [3]string{"SAFE_MODE", "MODEL", "healing"})
	st, err := s.Desired(ctx)
	must(t, err)
	equal(t, "mode", st.ModeSetting, h[0].Setting)
}

func testIncarnations(t *testing.T, s *Store) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	got := make([]int64, 20)
	for range got {
		wg.Go(func() {
			n, err := s.NextIncarnation(context.Background(), "model", "host-1")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			got[n-1]++
			mu.Unlock()
		})
	}
	wg.Wait()
	for i, n := range got {
		equal(t, fmt.Sprint("number ", i+1), n, int64(1))
	}
	n, err := s.NextIncarnation(t.Context(), "model", "host-2")
	must(t, err)
	equal(t, "another instance", n, int64(1))
}

func testHealth(t *testing.T, s *Store) {
	at := time.UnixMicro(1e15).UTC()
	newer := AgentHealth{
		Agent: "model", Instance: "i", Incarnation: 2, State: "RUNNING", Watermark: 9, Queue: 1, BeatAt: at, QueueAge: time.Second,
		P50: 3 * time.Microsecond, Stuck: true, Generation: 7,
	}
	hung := AgentHealth{Agent: "feature", Instance: "i", Incarnation: 1, State: "HUNG", Cause: "late", Watermark: 3, Queue: 2, BeatAt: at}
	must(t, s.SaveHealth(t.Context(), []AgentHealth{newer, hung}))
	must(t, s.SaveHealth(t.Context(), []AgentHealth{{Agent: "model", Instance: "i", Incarnation: 1, State: "CRASHED", Watermark: 8, BeatAt: at}}))
	h, err := s.Health(t.Context())
	must(t, err)
	equal(t, "rows", len(h), 2)
	if age := h[1].Age; age < 0 || age > time.Minute {
		t.Errorf("saved %v ago", age)
	}
	h[1].Age = 0
	equal(t, "an older life doesn't overwrite", h[1], newer)
}
