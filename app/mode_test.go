package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/fault"
	"aura/app/config"
)

// TestSafeModeGoesRoundTheModel switches to the rules while the model agent is crashed, hung or slow: what waits and
// what comes is decided by rule at once; with the fault gone and the mode back, the model decides again.
func TestSafeModeGoesRoundTheModel(t *testing.T) {
	t.Parallel()
	for _, trouble := range []struct {
		state agents.State
		fault fault.Fault
	}{
		{agents.Crashed, fault.Fault{Target: "model", Kind: fault.Crash}},
		{agents.Quarantined, fault.Fault{Target: "model", Kind: fault.Hang}},
		{agents.Slow, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second}},
	} {
		for _, bus := range []string{"memory", "gochannel"} {
			t.Run(string(trouble.state)+"/"+bus, func(t *testing.T) {
				t.Parallel()
				roundTheModel(t, bus, trouble.state, trouble.fault)
			})
		}
	}
}

func roundTheModel(t *testing.T, bus string, state agents.State, f fault.Fault) {
	r := run(t, func(c *config.Config) {
		c.Bus.Kind = bus
		// Lanes that are full soon, and no sweep that could hide what the switch leaves behind.
		c.Bus.LaneCapacity, c.Sweep.MinAge, c.Sweep.MaxAge = 16, time.Hour, time.Hour
	})
	if s := r.decide("before"); s.Mode != "MODEL" || s.Probability == nil {
		t.Fatalf("the model does not decide: %+v", s)
	}
	r.inject(f)
	waiting := r.accept("waiting", 150)
	until(t, 20*time.Second, "the fault's effect", func() string {
		if s := r.status("model"); s.State != state {
			return fmt.Sprintf("the model agent is %s, want %s", s.State, state)
		}
		return ""
	})
	if n := r.parts.Window.Undecided(); n < 100 {
		t.Fatalf("only %d are undecided: the fault does not do what the test needs", n)
	}
	r.setMode("SAFE_MODE")
	switched := time.Now()
	for i := range 20 {
		if s := r.decide(fmt.Sprintf("after-%d", i)); s.Mode != "SAFE_MODE" || s.Rule == "" || s.Probability != nil {
			t.Fatalf("not decided by rule: %+v", s)
		}
	}
	for _, s := range r.decided(10*time.Second, waiting...) {
		if s.Mode != "SAFE_MODE" && s.Mode != "MODEL" || s.Rule == "TECHNICAL" {
			t.Errorf("not decided by rule: %+v", s)
		}
	}
	t.Logf("all decided %s after the switch", time.Since(switched).Round(time.Millisecond))
	if n := r.count(`SELECT COUNT(*) FROM decisions WHERE mode = 'SAFE_MODE'`); n < 100 {
		t.Errorf("%d were decided by rule, want those that waited", n)
	}
	if status, body := r.ready(); status != http.StatusOK {
		t.Errorf("in safe mode a broken model agent is no reason not to be ready: %d %s", status, body)
	}
	r.parts.Faults.Clear()
	if state == agents.Quarantined { // too many lives were abandoned: a person starts the next one
		until(t, 10*time.Second, "the zombies' end", func() string {
			if n := r.status("model").Zombies; n > 0 {
				return fmt.Sprintf("%d zombies", n)
			}
			return ""
		})
		r.must(http.StatusOK, http.MethodPost, "agents/model/restart", map[string]string{"reason": "the hang is over"}, nil)
	}
	r.setMode("MODEL")
	until(t, 10*time.Second, "the model's return", func() string {
		return r.decides("back", "MODEL")
	})
	if s := r.decide("at last"); s.Mode != "MODEL" || s.Probability == nil {
		t.Errorf("the model does not decide again: %+v", s)
	}
	r.stop()
	checkBook(t, r.dir, newBook())
}

// decides is "" if an application given in now is decided in the mode.
func (r *running) decides(prefix, mode string) string {
	var s sighting
	id := fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano())
	status, err := call(http.MethodPost, r.api("applications"), rawJSON(application(id, 700)), &s)
	if err != nil || status != http.StatusOK || s.Mode != mode {
		return fmt.Sprintf("status %d, %v, %+v", status, err, s)
	}
	return ""
}

type rawJSON string

// MarshalJSON implements json.Marshaler.
func (j rawJSON) MarshalJSON() ([]byte, error) { return []byte(j), nil }

// TestNoDecisionOfTheOldStateAfterTheAnswer changes mode and champion under load. Once a change is answered, nothing that
// is committed from then on was decided under the state before.
func TestNoDecisionOfTheOldStateAfterTheAnswer(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"memory", "gochannel"} {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			r := run(t, func(c *config.Config) { c.Bus.Kind = bus })
			s := newStorm(r)
			stages := r.listen(t)
			s.start()
			s.progress(50)
			db := r.db()
			type answered struct {
				what       string
				row        int64 // the last row committed when the answer was there
				generation int64
			}
			var answers []answered
			for n := range 32 {
				a := answered{what: "mode"}
				switch n % 4 {
				case 0:
					a.generation = r.setMode("SAFE_MODE")
				case 2:
					a.generation = r.setMode("MODEL")
				default:
					var sw struct{ Generation int64 }
					r.must(http.StatusOK, http.MethodPost, fmt.Sprintf("models/%d/promote", 2-n/2%2), map[string]string{"reason": "test"}, &sw)
					a.what, a.generation = "champion", sw.Generation
				}
				if err := db.QueryRow(`SELECT COALESCE(MAX(rowid), 0) FROM decisions`).Scan(&a.row); err != nil {
					t.Fatal(err)
				}
				answers = append(answers, a)
				s.progress(20)
			}
			s.end()
			r.stop()
			stages.check(t, false) // what is decided twice on the way is announced as it was decided first
			moved := map[int64]bool{}
			for _, a := range answers {
				moved[a.generation] = true
				column, also := "mode_generation", ""
				if a.what == "champion" {
					column, also = "champion_generation", " AND mode = 'MODEL'"
				}
				if n := r.count(`SELECT COUNT(*) FROM decisions WHERE rule <> 'TECHNICAL' AND rowid > ? AND `+column+` < ?`+also, a.row, a.generation); n > 0 {
					t.Errorf("%d decisions of an older %s were committed after generation %d was answered", n, a.what, a.generation)
				}
			}
			if len(moved) < 10 {
				t.Errorf("only %d generations: the test is not what it says", len(moved))
			}
			if n := r.count(`SELECT COUNT(*) FROM (SELECT DISTINCT mode, model_version FROM decisions)`); n < 3 {
				t.Errorf("%d kinds of decisions, want those of the rules and of two models", n)
			}
			checkBook(t, r.dir, s.book)
		})
	}
}
