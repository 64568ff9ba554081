package drill

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"aura/agents/fault"
	"aura/healing/incident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a system whose incident takes its course by the clock, from the moment a fault is injected.
type fake struct {
	course  func(since time.Duration, in *incident.Incident)
	state   func(s *State)
	figures Figures
	rival   *Rival
	back    time.Duration // from the fault's end to the restored reference

	kind, target   string
	began, stopped time.Time
	refuse         error
}

func newFake(kind, target string) *fake {
	ms := 3.0
	return &fake{kind: kind, target: target, figures: Figures{Accepted: 100, Decided: 100, MedianMS: &ms}}
}

func (f *fake) Inject(_ context.Context, x fault.Fault) (fault.Fault, error) {
	if f.refuse != nil {
		return x, f.refuse
	}
	f.began = time.Now()
	x.ID, x.CreatedAt = "F", f.began
	return x, nil
}

func (f *fake) Stop(context.Context, string) error {
	f.stopped = time.Now()
	return nil
}

func (f *fake) incident() incident.Incident {
	at := func(d time.Duration) time.Time { return f.began.Add(d) }
	in := incident.Incident{
		ID: "I", Kind: f.kind, Target: f.target, Fingerprint: f.kind + ":" + f.target, State: incident.Suspected, OpenedAt: at(time.Second),
	}
	healing(at, time.Since(f.began), &in)
	if f.course != nil {
		f.course(time.Since(f.began), &in)
	}
	return in
}

// healing is the course of an incident that is healed in five seconds.
func healing(at func(time.Duration) time.Time, since time.Duration, in *incident.Incident) {
	if since >= 2*time.Second {
		in.State, in.DetectedAt = incident.Proposed, at(2*time.Second)
		in.Seen = &incident.Seen{Value: 9, Threshold: 1.5, N: 3, Words: "it has crashed: panic: x"}
		in.Actions = []incident.Action{{ID: "I/a1", Type: incident.RestartAgent, Purpose: incident.Forward, ProposedAt: at(2 * time.Second), AGL: incident.AGLPending}}
	}
	if since >= 3*time.Second {
		a := &in.Actions[0]
		in.State, a.AGL, a.Rule, a.DecidedAt, a.ExecutedAt = incident.Verifying, incident.AGLApproved, "demo", at(2500*time.Millisecond), at(3*time.Second)
	}
	if since >= 5*time.Second {
		a := &in.Actions[0]
		in.State, in.ResolvedAt, in.RestoredAt, a.Result, a.EndedAt = incident.Resolved, at(5*time.Second), at(5*time.Second), incident.Verified, at(5*time.Second)
	}
}

func (f *fake) Cases(context.Context) ([]Case, error) {
	if f.began.IsZero() || time.Since(f.began) < time.Second {
		return nil, nil
	}
	in := f.incident()
	c := Case{Incident: in, Learned: map[string]time.Time{}}
	if !in.ResolvedAt.IsZero() {
		c.Learned["I/a1"] = in.ResolvedAt
	}
	out := []Case{c}
	if f.back > 0 && !f.stopped.IsZero() && time.Since(f.stopped) >= f.back {
		at := f.stopped.Add(f.back)
		out = append(out, Case{Incident: incident.Incident{
			ID: "II", Kind: f.kind, Target: f.target, State: incident.Resolved, OpenedAt: at, DetectedAt: at, ResolvedAt: at,
			Actions: []incident.Action{{Type: incident.RestoreReference, Result: incident.Verified, ExecutedAt: at}},
		}})
	}
	return out, nil
}

func (f *fake) State(context.Context) (State, error) {
	s := State{Mode: "MODEL", Healing: "ACTIVE", Signals: map[string]Signal{f.kind + ":" + f.target: {State: "HEALTHY"}}}
	if f.state != nil {
		f.state(&s)
	}
	return s, nil
}

func (f *fake) Figures(context.Context, time.Time, time.Time) (Figures, error) { return f.figures, nil }

func (f *fake) Rival(context.Context, []fault.Fault) (*Rival, error) { return f.rival, nil }

func TestADrillThatHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(incident.AgentDown, "model")
		var told []string
		r := Runner{System: f, Tell: func(s Step) { told = append(told, s.Name) }}
		out, err := r.Run(t.Context(), Crash("model"))
		if err != nil || !out.Healed || out.Reason != "" {
			t.Fatalf("%v: %s", err, out.Reason)
		}
		want := []string{"onset", "suspected", "detected", "proposed", "approved", "executed", "verified", "learned", "fault ended"}
		var names []string
		for _, s := range out.Timeline {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, want) || !slices.Equal(told, want) {
			t.Errorf("timeline %v, told %v", names, told)
		}
		for name, s := range map[string]float64{"suspected": 1, "detected": 2, "approved": 2.5, "executed": 3, "verified": 5, "learned": 5} {
			if out.Durations[name] != s {
				t.Errorf("%s after %v s, want %v", name, out.Durations[name], s)
			}
		}
		if f.stopped.Sub(f.began) < 7*time.Second {
			t.Errorf("the fault was stopped after %s: nothing was seen of the service under it", f.stopped.Sub(f.began))
		}
	})
}

// Each of these is no healing, and ends the drill with the reason, and the fault with it.
func TestADrillThatDoesNotHeal(t *testing.T) {
	slow, good := 301.0, 0.7
	after := func(d time.Duration, change func(in *incident.Incident)) func(time.Duration, *incident.Incident) {
		return func(since time.Duration, in *incident.Incident) {
			if since >= d {
				change(in)
			}
		}
	}
	for name, c := range map[string]struct {
		drill  Drill
		change func(f *fake)
		want   string
	}{
		"denied": {Crash("model"), func(f *fake) {
			f.course = after(2*time.Second, func(in *incident.Incident) {
				in.State, in.ResolvedAt, in.Actions[0].AGL, in.Actions[0].Rule = incident.Escalated, time.Time{}, incident.AGLDenied, "off"
			})
		}, "denied by off"},
		"a person is asked": {Crash("model"), func(f *fake) {
			f.course = after(2*time.Second, func(in *incident.Incident) { in.State, in.ResolvedAt = incident.AwaitingApproval, time.Time{} })
		}, "nobody decided within"},
		"dry run": {Crash("model"), func(f *fake) {
			f.course = after(2*time.Second, func(in *incident.Incident) { in.State, in.ResolvedAt = incident.Observed, time.Time{} })
		}, "dry run"},
		"paused": {Crash("model"), func(f *fake) {
			f.state = func(s *State) { s.Healing, s.Why = "PAUSED", "somebody paused it" }
		}, "somebody paused it"},
		"never ready": {Crash("model"), func(f *fake) {
			f.state = func(s *State) { s.Signals = nil }
		}, "nothing was broken"},
		"not detected": {Crash("model"), func(f *fake) {
			f.course = after(0, func(in *incident.Incident) { in.DetectedAt, in.ResolvedAt = time.Time{}, time.Time{} })
		}, "was detected within"},
		"another kind": {Crash("model"), func(f *fake) {
			f.course = after(0, func(in *incident.Incident) { in.Kind = incident.PerfDrop })
		}, "was detected within"},
		"too late": {Crash("model"), func(f *fake) {
			f.course = func(since time.Duration, in *incident.Incident) {
				if since < 63*time.Second {
					in.ResolvedAt = time.Time{}
				} else {
					in.ResolvedAt = f.began.Add(63 * time.Second)
				}
			}
		}, "within 1m0s of its detection"},
		"by itself": {Crash("model"), func(f *fake) {
			f.course = after(5*time.Second, func(in *incident.Incident) { in.SelfRecovered = true })
		}, "by itself"},
		"nothing verified": {Crash("model"), func(f *fake) {
			f.course = after(5*time.Second, func(in *incident.Incident) { in.Actions[0].Result = incident.Undone })
		}, "no action was verified"},
		"with a person": {Crash("model"), func(f *fake) {
			f.course = after(5*time.Second, func(in *incident.Incident) { in.Escalations = 1 })
		}, "a person was called"},
		"slow under the fault":   {Latency(time.Second, 1), func(f *fake) { f.figures.MedianMS = &slow }, "still 301 ms"},
		"a model that isn't bad": {Accuracy(), func(f *fake) { f.figures.Accuracy = &good }, "nothing is proved"},
		"a model that isn't bad on new applicants": {Accuracy(), func(f *fake) {
			f.rival = &Rival{ChampionAccuracy: .66, Rows: 5000, Champion: .9, Trained: .95, Limit: .02}
		}, "0.66 on 5000 outcomes"},
		"a champion that can't": {Drift(fault.Change{Feature: "x"}, 1), func(f *fake) {
			f.rival = &Rival{Champion: .9, Trained: .93, Limit: .02}
		}, "more than 0.02 apart"},
		"no reference restored": {Drift(fault.Change{Feature: "x"}, 1), func(*fake) {}, "reference restored: false"},
		"left in safe mode": {Crash("model"), func(f *fake) {
			f.state = func(s *State) {
				if !f.stopped.IsZero() {
					s.Mode = "SAFE_MODE"
				}
			}
		}, "mode SAFE_MODE"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := c.drill.Target
				if target == "" {
					target = c.drill.Watch
				}
				f := newFake(c.drill.Kind, target)
				c.change(f)
				out, err := (&Runner{System: f}).Run(t.Context(), c.drill)
				if err != nil || out.Healed || !strings.Contains(out.Reason, c.want) {
					t.Errorf("%v, healed %v: %q, want %q", err, out.Healed, out.Reason, c.want)
				}
				if !f.began.IsZero() && f.stopped.IsZero() {
					t.Error("the fault goes on")
				}
			})
		})
	}
}

// A pause of the machine makes everything UNKNOWN for a moment: that is waited for. A signal that stays bad is not healed.
func TestASignalIsWaitedFor(t *testing.T) {
	for state, healed := range map[string]bool{"UNKNOWN": true, "CONFIRMED": false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(incident.AgentDown, "model")
			f.state = func(s *State) {
				since := time.Since(f.began)
				if !f.began.IsZero() && f.stopped.IsZero() && since > 6*time.Second && (since < 12*time.Second || !healed) {
					s.Signals = map[string]Signal{"AGENT_DOWN:model": {State: state}}
				}
			}
			out, err := (&Runner{System: f}).Run(t.Context(), Crash("model"))
			if err != nil || out.Healed != healed {
				t.Errorf("%s: %v, healed %v: %s", state, err, out.Healed, out.Reason)
			}
		})
	}
}

func TestADriftComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(incident.DataDrift, "income")
		f.back = 4 * time.Second
		out, err := (&Runner{System: f}).Run(t.Context(), Drift(fault.Change{Feature: "income", Scale: 2}, 1))
		if err != nil || !out.Healed {
			t.Fatalf("%v: %s", err, out.Reason)
		}
		if got := out.Durations[EndedToRestored]; got < 3.99 || got > 4.01 {
			t.Errorf("restored %v s after the fault's end", got)
		}
		if out.ReturnID != "II" || len(out.Others) != 0 {
			t.Errorf("restored by %q, others %+v", out.ReturnID, out.Others)
		}
	})
}

// An incident of a moment before the fault is opened again by it: the drill is about what it is from then on.
func TestARelapseIsTheDrills(t *testing.T) {
	onset := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Case{Incident: incident.Incident{
		OpenedAt: onset.Add(-time.Minute), DetectedAt: onset.Add(-time.Minute), Relapses: []time.Time{onset.Add(-time.Second), onset.Add(time.Second)},
		Actions: []incident.Action{{ID: "old", ProposedAt: onset.Add(-time.Minute)}, {ID: "new", ProposedAt: onset.Add(time.Second)}},
	}}
	got := relapsed(c, onset)
	if !got.OpenedAt.Equal(onset.Add(time.Second)) || !got.DetectedAt.Equal(got.OpenedAt) || len(got.Actions) != 1 || got.Actions[0].ID != "new" || len(c.Actions) != 2 {
		t.Errorf("%+v", got)
	}
	c.Relapses = c.Relapses[:1]
	if got := relapsed(c, onset); !got.OpenedAt.Before(onset) || len(got.Actions) != 2 {
		t.Errorf("no relapse of the drill: %+v", got)
	}
}

// What happens beside the drill is no part of its durations.
func TestDurationsAreTheDrillsOwn(t *testing.T) {
	at := func(name, id string, s float64) Step { return Step{Name: name, IncidentID: id, SinceOnset: s} }
	got := durations([]Step{
		at(StepOnset, "", 0), at(StepDetected, "other", .5), at(StepDetected, "own", 1), at(StepExecuted, "own", 2), at(StepExecuted, "own", 3),
		at(StepVerified, "own", 4), at(StepRestored, "other", 5), at(StepFaultEnded, "", 6), at(StepExecuted, "own", 7), at(StepRestored, "back", 9.5),
	}, "own", "back")
	want := map[string]float64{StepDetected: 1, StepExecuted: 3, StepVerified: 4, StepFaultEnded: 6, StepRestored: 9.5, EndedToRestored: 3.5}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestADrillThatCannotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(incident.AgentDown, "model")
		f.refuse = errors.New("no")
		if _, err := (&Runner{System: f}).Run(t.Context(), Crash("model")); !errors.Is(err, f.refuse) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		f = newFake(incident.AgentDown, "model")
		f.course = func(_ time.Duration, in *incident.Incident) { in.ResolvedAt = time.Time{} }
		if _, err := (&Runner{System: f}).Run(ctx, Crash("model")); !errors.Is(err, context.DeadlineExceeded) || f.stopped.IsZero() {
			t.Errorf("got %v, stopped at %v", err, f.stopped)
		}
	})
}

func TestEveryDrillShips(t *testing.T) {
	for _, name := range Names {
		d, err := Default(name)
		if err != nil || d.Name != name || len(d.Faults) == 0 || d.Heal == 0 || d.Aim == 0 {
			t.Errorf("%s: %v %+v", name, err, d)
		}
	}
	if _, err := Default("flood"); err == nil {
		t.Error("there is no drill flood")
	}
}

// TestTheDetectedStepSaysWhatWasSeen: also of what is no number.
func TestTheDetectedStepSaysWhatWasSeen(t *testing.T) {
	in := incident.Incident{Kind: incident.AgentDown, Target: "model"}
	healing(func(d time.Duration) time.Time { return time.Unix(0, 0).Add(d) }, 3*time.Second, &in)
	for _, s := range stepsOf(Case{Incident: in}) {
		if s.Name == StepDetected && s.Text != "it has crashed: panic: x" {
			t.Errorf("detected: %q", s.Text)
		}
	}
}
