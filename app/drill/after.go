package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aura/healing/incident"
)

// settle is how long after the verification the signal may take to be heard healthy.
const settle = 10 * time.Second

// soak looks at the service under the fault, after the healing.
func (x *run) soak(ctx context.Context) error {
	at := executed(x.own.Incident)
	end := time.Now().Add(x.d.Soak)
	// A signal that is UNKNOWN for a moment, as after a pause of the machine, is waited for; well judges what it is then.
	err := x.until(ctx, end.Add(settle), func(s State) (bool, error) {
		return !time.Now().Before(end) && s.Signals[x.signal()].well(), nil
	}, func(State) error { return nil })
	if err != nil {
		return err
	}
	if x.d.Returns {
		if x.out.Rival, err = x.System.Rival(ctx, x.faults); err != nil {
			return err
		}
	}
	if err := x.phase(ctx, PhaseFault, x.onset, at); err != nil {
		return err
	}
	if err := x.phase(ctx, PhaseHealed, at, time.Now()); err != nil {
		return err
	}
	return x.well()
}

// well judges what was measured under the fault.
func (x *run) well() error {
	broken, healed := x.out.Phase(PhaseFault), x.out.Phase(PhaseHealed)
	limit := float64(FastLimit.Milliseconds())
	if x.d.Fast && (healed.MedianMS == nil || *healed.MedianMS >= limit) {
		return fail("the median under the fault is still %s ms after %d decisions, not below %.0f", figure(healed.MedianMS), healed.Decided, limit)
	}
	if accuracy, n := x.worse(broken); x.d.Worse && (accuracy == nil || *accuracy > WorseLimit) {
		return fail("the fault brought the accuracy to %s on %d outcomes, not to %.2f: nothing is proved", figure(accuracy), n, WorseLimit)
	}
	if r := x.out.Rival; x.d.Returns && r != nil && r.Champion < r.Trained-r.Limit {
		return fail("the champion's AUC on the population that came is %.3f, a model trained on it has %.3f: more than %.2f apart", r.Champion, r.Trained, r.Limit)
	}
	if !healed.Signal.well() {
		return fail("after the healing the signal %s is %s", x.signal(), healed.Signal.State)
	}
	return nil
}

// worse is how bad the model was that the fault put in charge: on applicants drawn for that, or where none can be drawn on
// the few hundred whose outcomes came before the healing.
func (x *run) worse(broken *Phase) (accuracy *float64, n int) {
	if r := x.out.Rival; r != nil {
		return &r.ChampionAccuracy, r.Rows
	}
	return broken.Accuracy, broken.Outcomes
}

func figure(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.3g", *v)
}

// stop ends the faults.
func (x *run) stop(ctx context.Context) error {
	if !x.ended.IsZero() || len(x.faults) == 0 {
		return nil
	}
	for _, f := range x.faults {
		if err := x.System.Stop(ctx, f.ID); err != nil {
			return fmt.Errorf("drill: stop %s: %w", f.Kind, err)
		}
	}
	x.ended = time.Now().UTC()
	for i := range x.out.Faults {
		x.out.Faults[i].EndedAt = x.ended
	}
	x.tell(Step{Name: StepFaultEnded, At: x.ended, key: StepFaultEnded})
	return nil
}

// restore waits until everything is as it was.
func (x *run) restore(ctx context.Context) error {
	var back time.Time
	var id string
	err := x.until(ctx, x.ended.Add(x.d.Restore), func(s State) (bool, error) {
		if err := x.heals(s); err != nil {
			return false, err
		}
		if id, back = x.returned(); x.d.Returns && back.IsZero() {
			return false, x.called()
		}
		return s.Mode == modeModel && openOnes(x.mine()) == nothing && s.Signals[x.signal()].well(), x.called()
	}, func(s State) error {
		return fail("%s after the fault's end it is not as it was: mode %s, signal %s %s, open: %s, reference restored: %v",
			x.d.Restore, s.Mode, x.signal(), s.Signals[x.signal()].State, openOnes(x.mine()), !x.d.Returns || !back.IsZero())
	})
	if err != nil {
		return err
	}
	if x.d.Returns {
		x.out.ReturnID = id
		x.tell(Step{Name: StepRestored, At: back, IncidentID: id, Text: "the kept reference is in force again", key: StepRestored})
	}
	if err := x.until(ctx, time.Now().Add(x.d.Soak), func(State) (bool, error) { return false, nil }, func(State) error { return nil }); err != nil {
		return err
	}
	from := x.ended
	if at := lastStep(x.out.Timeline, StepRestored); at.After(from) {
		from = at
	}
	return x.phase(ctx, PhaseAfter, from, time.Now())
}

// called reports an incident of the drill that ended with a person. BUS_DOWN only tells one what can't be heard: it is no
// call to heal anything, and is listed beside.
func (x *run) called() error {
	for _, c := range x.mine() {
		if c.Kind == incident.BusDown {
			continue
		}
		if why := stuck(c.Incident); why != "" && c.State != incident.Cancelled {
			return fail("%s of %s: %s", c.Kind, c.Target, why)
		}
	}
	return nil
}

// returned is when the kept reference was shown to be in force again, and by which incident; zero while it isn't.
func (x *run) returned() (id string, at time.Time) {
	for _, c := range x.mine() {
		if c.ID == x.own.ID || c.Kind != x.d.Kind || !c.OpenedAt.After(x.ended) || c.ResolvedAt.IsZero() {
			continue
		}
		for _, a := range c.Actions {
			if a.Type == incident.RestoreReference && a.Result == incident.Verified {
				return c.ID, c.ResolvedAt
			}
		}
	}
	return "", time.Time{}
}

// signal is the fingerprint that is judged: the incident's own, once there is one.
func (x *run) signal() string {
	if x.own.ID != "" {
		return x.own.Fingerprint
	}
	return x.d.watched()
}

// phase measures the applications accepted in a part of the drill.
func (x *run) phase(ctx context.Context, name string, from, to time.Time) error {
	f, err := x.System.Figures(ctx, from, to)
	if err != nil {
		return err
	}
	s, err := x.System.State(ctx)
	if err != nil {
		return err
	}
	p := Phase{Name: name, From: from.UTC(), To: to.UTC(), Figures: f, Mode: s.Mode, Champion: s.Champion, Signal: s.Signals[x.signal()]}
	if name == PhaseFault && x.own.ID != "" {
		if seen := x.own.Seen; seen != nil { // what the healing may have ended by now
			p.Signal = Signal{State: string(incident.Confirmed), Value: seen.Value, Threshold: seen.Threshold, N: seen.N}
		}
	}
	x.out.Phases = append(x.out.Phases, p)
	return nil
}

// conclude puts the timeline in order and says what else happened.
func (x *run) conclude(ctx context.Context) error {
	if err := x.watch(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	x.out.IncidentID = x.own.ID
	if x.own.ID != "" {
		x.out.Target, x.out.FirstEffective = x.own.Target, effective(x.own.Incident)
	}
	if !x.onset.IsZero() && x.out.Phase(PhaseFault) == nil {
		if err := x.phase(context.WithoutCancel(ctx), PhaseFault, x.onset, x.ended); err != nil {
			return err
		}
	}
	slices.SortStableFunc(x.out.Timeline, func(a, b Step) int { return a.At.Compare(b.At) })
	since(x.onset, x.out.Timeline)
	x.out.Durations = durations(x.out.Timeline, x.own.ID, x.out.ReturnID)
	for _, c := range x.mine() {
		for _, g := range c.Gates {
			if c.ID == x.own.ID {
				x.out.Gate = &g
			}
		}
		if c.ID == x.own.ID || c.ID == x.out.ReturnID || c.DetectedAt.IsZero() && c.State == incident.Cancelled {
			continue
		}
		o := Other{IncidentID: c.ID, Kind: c.Kind, Target: c.Target, State: string(c.State)}
		for _, a := range c.Actions {
			if !a.ExecutedAt.IsZero() {
				o.Actions = append(o.Actions, a.Type)
			}
		}
		x.out.Others = append(x.out.Others, o)
	}
	return nil
}

func lastStep(steps []Step, name string) (at time.Time) {
	for _, s := range steps {
		if s.Name == name && s.At.After(at) {
			at = s.At
		}
	}
	return at
}
