package detect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// service is a made-up decision service that fills slots: the tests turn its knobs.
type service struct {
	t       *testing.T
	r       *rand.Rand
	m       *Monitor
	ref     *Reference
	now     time.Time
	desired Desired

	perSlot  int                             // applications a slot
	latency  func(*rand.Rand) time.Duration  // of a decision
	row      func(*rand.Rand) []float64      // features of an application
	score    func(*rand.Rand) float64        // of the champion
	labels   int                             // outcomes a slot
	accuracy float64                         // of the champion's outcomes
	shadow   bool                            // outcomes are of shadow scores
	overdue  int64                           // gauge
	beats    func(now time.Time) []Beat      // of the agents
	mute     bool                            // monitoring doesn't hear its own beat
	store    func(now time.Time) time.Time   // the store's last answer
	touch    func(slot *Slot, now time.Time) // last word
	life     int64
}

const step = 100 * time.Millisecond

// normalRow draws a score, a debt ratio, an income, a loan and a category.
func normalRow(r *rand.Rand) []float64 {
	return []float64{
		min(max(math.Round(r.NormFloat64()*80+700), 300), 850),
		min(max(r.NormFloat64()*20+30, 0), 100),
		max(r.NormFloat64()*20_000+55_000, 10_000),
		math.Round(r.Float64()*79_000 + 1_000),
		float64(r.IntN(4)),
	}
}

var serviceFields = []Field{{Name: "credit_score", Categorical: false}, {Name: "debt_ratio", Categorical: false}, {Name: "income", Categorical: false}, {Name: "loan_amount", Categorical: false}, {Name: "purpose", Categorical: true}}

func newService(t *testing.T, seed uint64, rows int) *service {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 77))
	data, scores := make([][]float64, rows), make([]float64, rows)
	for i := range data {
		data[i], scores[i] = normalRow(r), r.Float64()
	}
	ref, err := BuildReference("ref-1", serviceFields, data)
	if err != nil {
		t.Fatal(err)
	}
	ref.SetScores(1, scores)
	m, err := NewMonitor(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetReference(ref); err != nil {
		t.Fatal(err)
	}
	s := &service{
		t: t, r: r, m: m, ref: ref, now: at, perSlot: 5, row: normalRow, labels: 5, accuracy: 0.92, life: 1,
		desired: Desired{Mode: "MODEL", Champion: 1, Validated: 0.92, ValidatedN: 2000},
		latency: func(r *rand.Rand) time.Duration { return time.Duration(1+r.ExpFloat64()*3) * time.Millisecond },
		score:   func(r *rand.Rand) float64 { return r.Float64() },
	}
	s.beats = func(now time.Time) []Beat {
		var all []Beat
		for _, a := range DefaultPath {
			all = append(all, Beat{Agent: a, Instance: "i1", Incarnation: s.life, State: AgentRunning, At: now, Watermark: now.UnixMilli()})
		}
		return all
	}
	return s
}

// slot makes the next slot without judging it.
func (s *service) slot() Slot {
	s.now = s.now.Add(step)
	slot := Slot{At: s.now, Desired: s.desired, Beats: s.beats(s.now)}
	sketch := NewSketch(s.ref)
	k := Cohort{Accepted: s.now, Mode: s.desired.Mode, Version: s.desired.Champion}
	for range s.perSlot {
		slot.Decided(k, s.latency(s.r), 300*time.Millisecond, false)
		sketch.Add(s.row(s.r))
		if s.desired.Mode != ModeSafe {
			sketch.AddScore(s.desired.Champion, s.score(s.r))
		}
	}
	if s.perSlot > 0 {
		slot.Sketches = []*Sketch{sketch}
	}
	k.Shadow = s.shadow
	for range s.labels {
		slot.Outcome(k, s.r.Float64() < s.accuracy)
	}
	slot.Overdue = s.overdue
	if !s.mute {
		slot.OwnBeat = s.now
	}
	if s.store != nil {
		slot.StoreBeat = s.store(s.now)
	}
	if s.touch != nil {
		s.touch(&slot, s.now)
	}
	return s.wire(slot)
}

// wire sends a slot through JSON, as the bus does.
func (s *service) wire(slot Slot) Slot {
	raw, err := json.Marshal(slot)
	if err != nil {
		s.t.Fatal(err)
	}
	var got Slot
	if err := json.Unmarshal(raw, &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *service) run(d time.Duration) {
	for range int(d / step) {
		slot := s.slot()
		s.m.Step(s.now, slot)
	}
}

// until runs until the signal has the state, and returns how long it took; it fails after limit.
func (s *service) until(k Kind, target string, want State, limit time.Duration) time.Duration {
	s.t.Helper()
	from := s.now
	for s.now.Sub(from) < limit {
		s.run(step)
		if s.signal(k, target).State == want {
			return s.now.Sub(from)
		}
	}
	s.t.Fatalf("%s:%s is %s after %v, want %s: %+v", k, target, s.signal(k, target).State, limit, want, s.signal(k, target))
	return 0
}

func (s *service) signal(k Kind, target string) Signal {
	s.t.Helper()
	for _, g := range s.m.Signals(s.now) {
		if g.Kind == k && (g.Target == target || target == "") {
			return g
		}
	}
	s.t.Fatalf("no signal %s:%s", k, target)
	return Signal{}
}

func (s *service) want(k Kind, target string, want State) {
	s.t.Helper()
	if g := s.signal(k, target); g.State != want {
		s.t.Fatalf("%s:%s is %s, want %s: %+v", k, target, g.State, want, g)
	}
}

// quiet fails if any signal is active.
func (s *service) quiet() {
	s.t.Helper()
	for _, g := range s.m.Signals(s.now) {
		if g.State.Active() {
			s.t.Fatalf("%s is %s: %+v", g.Fingerprint(), g.State, g)
		}
	}
}
