package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
)

// look is how often the runner looks at the system.
const look = 200 * time.Millisecond

// Runner runs one drill on a system. Tell, if not nil, hears of each step soon after it happened.
type Runner struct {
	System System
	Tell   func(Step)
}

// unhealed ends a drill: the system didn't do what is expected of it.
type unhealed struct{ reason string }

func (u *unhealed) Error() string { return u.reason }

func fail(form string, args ...any) error { return &unhealed{fmt.Sprintf(form, args...)} }

// Run breaks the system and judges. That it didn't heal is a result; an error is a drill that could not be carried out, or
// the end of ctx. Whatever comes, the faults have ended when it returns.
func (r *Runner) Run(ctx context.Context, d Drill) (Result, error) {
	x := &run{Runner: r, d: d, told: map[string]bool{}}
	x.out = Result{Drill: d.Name, Outcome: NotHealed, Kind: d.Kind, Target: d.Target, HealWithin: seconds(d.Heal)}
	err := x.all(ctx)
	err = errors.Join(err, x.stop(context.WithoutCancel(ctx)))
	var u *unhealed
	if errors.As(err, &u) {
		x.out.Reason, err = u.reason, nil
	} else if err == nil {
		x.out.Healed, x.out.Outcome = true, Healed
	}
	if err == nil {
		err = x.conclude(ctx)
	}
	return x.out, err
}

// run is one drill under way.
type run struct {
	*Runner
	d   Drill
	out Result

	began  time.Time // of the phase before
	onset  time.Time
	faults []fault.Fault
	ended  time.Time // when the faults were stopped
	own    Case      // the expected incident
	cases  []Case
	told   map[string]bool
}

func (x *run) all(ctx context.Context) error {
	for _, part := range []func(context.Context) error{x.ready, x.inject, x.detect, x.heal, x.soak, x.stop, x.restore} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// until looks again and again until done says so, or time is over; then it returns late's error.
func (x *run) until(ctx context.Context, deadline time.Time, done func(State) (bool, error), late func(State) error) error {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		s, err := x.System.State(ctx)
		if err != nil {
			return err
		}
		if err := x.watch(ctx); err != nil {
			return err
		}
		if ok, err := done(s); ok || err != nil {
			return err
		}
		if !time.Now().Before(deadline) {
			return late(s)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// watch reads the incidents and tells what is new of them.
func (x *run) watch(ctx context.Context) error {
	cases, err := x.System.Cases(ctx)
	if err != nil {
		return err
	}
	x.cases = cases
	if x.onset.IsZero() {
		return nil
	}
	for i := range x.cases {
		x.cases[i] = relapsed(x.cases[i], x.onset)
	}
	x.own = Case{}
	for _, c := range slices.Backward(x.mine()) { // the first: what comes later may be what it brought about
		if x.d.about(c.Incident) && (!c.DetectedAt.IsZero() || !c.State.Final()) {
			x.own = c
		}
	}
	var fresh []Step
	for _, c := range x.mine() {
		for _, s := range stepsOf(c) {
			if !x.told[s.key] {
				fresh = append(fresh, s)
			}
		}
	}
	slices.SortStableFunc(fresh, func(a, b Step) int { return a.At.Compare(b.At) })
	for _, s := range fresh {
		x.tell(s)
	}
	return nil
}

// relapsed tells an incident from before the fault that was opened again under it as what it is since then.
func relapsed(c Case, onset time.Time) Case {
	if !c.OpenedAt.Before(onset) {
		if len(c.Detections) > 0 {
			c.DetectedAt = c.Detections[0] // the drill counts from the first time
		}
		return c
	}
	at := slices.IndexFunc(c.Relapses, func(at time.Time) bool { return !at.Before(onset) })
	if at < 0 {
		return c
	}
	c.OpenedAt, c.DetectedAt = c.Relapses[at], c.Relapses[at]
	c.Actions = slices.DeleteFunc(slices.Clone(c.Actions), func(a incident.Action) bool { return a.ProposedAt.Before(c.OpenedAt) })
	return c
}

// mine are the incidents that were opened under the drill.
func (x *run) mine() []Case {
	return slices.DeleteFunc(slices.Clone(x.cases), func(c Case) bool { return c.OpenedAt.Before(x.onset) })
}

func (x *run) tell(s Step) {
	x.told[s.key] = true
	x.out.Timeline = append(x.out.Timeline, s)
	if x.Tell != nil {
		s.SinceOnset = seconds(s.At.Sub(x.onset))
		x.Tell(s)
	}
}

// ready waits until the signal that the drill is about is healthy, and nothing is open, after a while that the figures from
// before the fault are measured on.
func (x *run) ready(ctx context.Context) error {
	x.began = time.Now()
	return x.until(ctx, x.began.Add(x.d.Ready), func(s State) (bool, error) {
		return time.Since(x.began) >= x.d.Soak && s.Signals[x.d.watched()].State == string(incident.Healthy) && s.Mode == modeModel &&
			openOnes(x.cases) == nothing, nil
	}, func(s State) error {
		return fail("nothing was broken: after %s the system is not healthy; the signal %s is %q, mode %s, open: %s", x.d.Ready,
			x.d.watched(), s.Signals[x.d.watched()].State, s.Mode, openOnes(x.cases))
	})
}

// modeModel is the mode in which the champion decides.
const modeModel = "MODEL"

const nothing = "nothing"

// openOnes names the incidents that are not over, or whose safe mode stands.
func openOnes(cases []Case) string {
	var names []string
	for _, c := range cases {
		if !c.State.Final() || c.Degraded {
			names = append(names, fmt.Sprintf("%s %s of %s (%s)", c.ID, c.Kind, c.Target, c.State))
		}
	}
	if len(names) == 0 {
		return nothing
	}
	return strings.Join(names, ", ")
}

func (x *run) inject(ctx context.Context) error {
	if err := x.phase(ctx, PhaseBefore, x.began, time.Now()); err != nil {
		return err
	}
	for _, f := range x.d.Faults {
		injected, err := x.System.Inject(ctx, f)
		if err != nil {
			return fmt.Errorf("drill: inject %s: %w", f.Kind, err)
		}
		if f.Kind == fault.BadModel {
			injected.CreatedAt = time.Now().UTC() // it was trained first, and is in charge now
		}
		if x.faults = append(x.faults, injected); len(x.faults) == 1 {
			x.onset = injected.CreatedAt
			x.tell(Step{Name: StepOnset, At: x.onset, Text: describe(injected), key: StepOnset})
		}
		x.out.Faults = append(x.out.Faults, injectedOf(injected))
	}
	if x.d.Worse {
		var err error
		if x.out.Rival, err = x.System.Rival(ctx, x.faults); err != nil {
			return err
		}
	}
	return nil
}

// heals refuses to wait for a loop that doesn't run.
func (x *run) heals(s State) error {
	if s.Healing != "ACTIVE" {
		return fail("healing is %s%s", s.Healing, orNothing(": ", s.Why))
	}
	if why := stuck(x.own.Incident); x.own.ID != "" && x.own.ResolvedAt.IsZero() && why != "" {
		return fail("%s", why)
	}
	return nil
}

func (x *run) detect(ctx context.Context) error {
	return x.until(ctx, x.onset.Add(x.d.Detect), func(s State) (bool, error) {
		return !x.own.DetectedAt.IsZero(), x.heals(s)
	}, func(s State) error {
		return fail("no %s was detected within %s; the signal %s is %s at %.4g", x.d.Kind, x.d.Detect, x.d.watched(),
			s.Signals[x.d.watched()].State, s.Signals[x.d.watched()].Value)
	})
}

func (x *run) heal(ctx context.Context) error {
	deadline := x.own.DetectedAt.Add(x.d.Heal)
	late := func() error {
		if x.own.ID == "" {
			return fail("the %s was taken for something else", x.d.Kind)
		}
		if x.own.State == incident.AwaitingApproval {
			return fail("%s waited for a person, and nobody decided within %s", lastAction(x.own.Incident), x.d.Heal)
		}
		return fail("the incident was not verified healed within %s of its detection; it is %s: %s", x.d.Heal, x.own.State, x.own.Reason)
	}
	err := x.until(ctx, deadline, func(s State) (bool, error) {
		if x.own.ResolvedAt.IsZero() {
			return false, x.heals(s)
		}
		return true, nil
	}, func(State) error { return late() })
	if err != nil {
		return err
	}
	if ok, why := verified(x.own.Incident); !ok {
		return fail("%s", why)
	}
	if x.own.ResolvedAt.After(deadline) {
		return late()
	}
	return nil
}
