package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"aura/mlops/registry"
)

// machine is the store beside a model of it: maps in memory.
type machine struct {
	options Options
	s       *Store

	apps     map[string]Application // by client id
	bodies   map[string]string
	decided  map[string]Decision
	outcomes map[string]Outcome
	joined   map[string]int
	now      Generations
	past     []Generations
}

func (m *machine) client(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "client")
}

func (m *machine) accept(t *rapid.T) {
	client, body := m.client(t), rapid.SampledFrom([]string{"1", "2"}).Draw(t, "body")
	out, err := m.s.Accept(context.Background(), []Application{{
		ApplicationID: client, Features: []byte(body), BodyDigest: []byte(body), Source: "http",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := out[0]
	want, known := New, false
	if _, known = m.apps[client]; known {
		want = Conflict
		if m.bodies[client] == body {
			want = Same
		}
	} else {
		m.apps[client], m.bodies[client] = r.Application, body
	}
	if r.Status != want || r.Application.ID != m.apps[client].ID {
		t.Fatalf("accept %s %s: %+v, want status %d of %s", client, body, r, want, m.apps[client].ID)
	}
	if d, ok := m.decided[client]; ok != (r.Decision != nil) || ok && !sameDecision(d, *r.Decision) {
		t.Fatalf("accept %s: decision %v, want %v", client, r.Decision, d)
	}
}

func (m *machine) decide(t *rapid.T) {
	client := m.client(t)
	a, ok := m.apps[client]
	if !ok {
		t.Skip("not accepted")
	}
	g := rapid.SampledFrom(append(m.past, m.now)).Draw(t, "generations")
	d := verdict(a, g, rapid.Float64Range(0, 1).Draw(t, "pd"))
	if rapid.IntRange(0, 9).Draw(t, "technical") == 0 {
		d.Rule = RuleTechnical
	}
	out, err := m.s.Decide(context.Background(), []Decision{d})
	if err != nil {
		t.Fatal(err)
	}
	stands, already := m.decided[client]
	fits := d.Rule == RuleTechnical || g.ModeGeneration == m.now.ModeGeneration &&
		(g.Mode == ModeSafe || g.ChampionGeneration == m.now.ChampionGeneration)
	want := Stale
	switch {
	case already:
		want = Already
	case fits:
		want = Written
		row, err := d.settle()
		if err != nil {
			t.Fatal(err)
		}
		stands = row.Decision
		m.decided[client] = stands
	}
	r := out[0]
	if r.Status != want || r.Current != m.now || want != Stale && !sameDecision(r.Decision, stands) {
		t.Fatalf("decide %s under %+v at %+v: %+v, want status %d", client, g, m.now, r, want)
	}
	if r.Joined != nil {
		m.join(t, client, r.Joined)
	}
	if _, waits := m.outcomes[client]; waits && want == Written && m.joined[client] != 1 {
		t.Fatalf("the early outcome of %s was joined %d times", client, m.joined[client])
	}
}

// join notes an outcome that is to be published.
func (m *machine) join(t *rapid.T, client string, f *Feedback) {
	m.joined[client]++
	if m.joined[client] > 1 || f.Outcome != m.outcomes[client] {
		t.Fatalf("joined %s to %s (time %d), the first was %s", f.Outcome, client, m.joined[client], m.outcomes[client])
	}
}

func (m *machine) feedback(t *rapid.T) {
	client, o := m.client(t), rapid.SampledFrom([]Outcome{Repaid, Defaulted}).Draw(t, "outcome")
	out, err := m.s.AddFeedback(context.Background(), []Feedback{{ApplicationID: client, Outcome: o}})
	if err != nil {
		t.Fatal(err)
	}
	_, known := m.apps[client]
	_, decided := m.decided[client]
	first, had := m.outcomes[client]
	want := Joined
	switch {
	case !known:
		want = Unknown
	case had && first == o:
		want = Duplicate
	case had:
		want = Contradicting
	case !decided:
		want = Early
	}
	if out[0].Kind != want {
		t.Fatalf("outcome %s of %s: %s, want %s", o, client, out[0].Kind, want)
	}
	if want == Early || want == Joined {
		m.outcomes[client] = o
	}
	if want == Joined {
		m.join(t, client, &out[0].Feedback)
	}
}

func (m *machine) setMode(t *rapid.T) {
	mode := rapid.SampledFrom([]Mode{ModeModel, ModeSafe}).Draw(t, "mode")
	g, err := m.s.SetMode(context.Background(), mode, "ann", "drill")
	if err != nil {
		t.Fatal(err)
	}
	if (g != m.now.ModeGeneration) != (mode != m.now.Mode) || g < m.now.ModeGeneration {
		t.Fatalf("generation %d after %+v -> %s", g, m.now, mode)
	}
	m.past = append(m.past, m.now)
	m.now.Mode, m.now.ModeGeneration = mode, g
}

func (m *machine) promote(t *rapid.T) {
	v := rapid.IntRange(1, 2).Draw(t, "version")
	g, err := m.s.SetAliases(context.Background(), map[string]int{registry.Champion: v}, nil, "ann", "drill")
	if err != nil {
		t.Fatal(err)
	}
	if (g != m.now.ChampionGeneration) != (v != m.now.Champion) || g < m.now.ChampionGeneration {
		t.Fatalf("generation %d after %+v -> %d", g, m.now, v)
	}
	m.past = append(m.past, m.now)
	m.now.Champion, m.now.ChampionGeneration = v, g
}

func (m *machine) reopen(t *rapid.T) {
	if err := m.s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

func (m *machine) open(t *rapid.T) {
	s, err := Open(context.Background(), m.options)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

// check compares what is stored with the model.
func (m *machine) check(t *rapid.T) {
	c, err := m.s.Counts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var joined int64
	for _, n := range m.joined {
		joined += int64(n)
	}
	got := [4]int64{c.Applications, c.Decisions, c.Undecided, c.Feedback[Joined]}
	want := [4]int64{int64(len(m.apps)), int64(len(m.decided)), int64(len(m.apps) - len(m.decided)), joined}
	if got != want {
		t.Fatalf("applications, decisions, undecided, joined: %v, want %v", got, want)
	}
	if w := m.s.Stats().EarlyWaiting; w != int64(len(m.outcomes)-len(m.joined)) {
		t.Fatalf("%d early outcomes wait, want %d", w, len(m.outcomes)-len(m.joined))
	}
}

// machineRuns keeps the package's tests quick; -rapid.checks asks for more.
const machineRuns = "25"

func TestStateMachine(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		must(t, f.Value.Set(machineRuns))
		defer func() { must(t, f.Value.Set(f.DefValue)) }()
	}
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		runMachine(r, Options{Dir: fmt.Sprintf("%s/%d", root, runs)})
	})
}

// runMachine holds a store of an empty place against the model.
func runMachine(t *rapid.T, o Options) {
	m := &machine{
		options: o, apps: map[string]Application{}, bodies: map[string]string{},
		decided: map[string]Decision{}, outcomes: map[string]Outcome{}, joined: map[string]int{},
		now: Generations{Mode: ModeModel, ModeGeneration: 1},
	}
	m.open(t)
	defer func() {
		_ = m.s.Close(context.Background())
		_ = os.RemoveAll(o.Dir)
	}()
	for n := 1; n <= 2; n++ {
		if _, err := m.s.CreateVersion(context.Background(), version(n)); err != nil {
			t.Fatal(err)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"accept": m.accept, "decide": m.decide, "feedback": m.feedback, "mode": m.setMode, "promote": m.promote,
		"reopen": m.reopen, "": m.check,
	})
}
