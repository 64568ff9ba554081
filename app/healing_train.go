package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/mlops/dataset"
	"aura/mlops/gate"
)

var nan = math.NaN()

// Outcomes of a retraining, as playbooks name them.
const (
	outcomePromote = "promote"
	outcomeKeep    = "keep"
	outcomeNone    = "none"
)

const (
	trainLeast, trainMost = 500, 20_000
	oldRows               = 10_000
	// trainComfortable rows are as many as a candidate is waited for that could still be a better one, while accuracy is low
	// for trainPatience at most.
	trainComfortable = 2000
	trainPatience    = 20 * time.Second
	// trainAgain is the least time between two attempts while outcomes are too few to tell. The next comes when the time since
	// the change, and so about the number of outcomes, has grown by one in trainGrown: each look is another chance to be wrong,
	// and at hardly more outcomes it tells nothing new.
	trainAgain, trainGrown = 3 * time.Second, 4
	// trainMargin is what is left of an action's time when it stops waiting for more outcomes.
	trainMargin = 10 * time.Second
	// trainSaid is what is left when it gives up waiting for the first ones: at the end of its time it is taken for one that hangs,
	// and nobody would hear what was missing.
	trainSaid = time.Second
)

// Retrain implements healing.Trainer: candidates on stored applications from since the change, judged by the gate. While it
// can't tell for want of outcomes it waits for more, as long as the action may take. A candidate that this action registered
// before a crash is what it yields: it isn't trained, judged and registered a second time.
func (s *system) Retrain(ctx context.Context, t healing.Training) (healing.Trained, error) {
	if before, err := s.registered(ctx, t); err != nil || before.Outcome != "" {
		return before, err
	}
	old, err := s.before(ctx, t.Since)
	if err != nil {
		return healing.Trained{}, err
	}
	first, err := s.labelled(ctx, t.Since, trainLeast)
	if err != nil {
		return healing.Trained{}, err
	}
	told := ""
	tell := func(key, text string) {
		if t.Tell != nil && key != told {
			told = key
			t.Tell(text)
		}
	}
	if len(first) < trainLeast {
		tell("waits", fmt.Sprintf("%d outcomes of applications since %s are here; it waits for %d, until its time is over",
			len(first), t.Since.UTC().Format("15:04:05 UTC"), trainLeast))
	}
	begun, contradicted := now(), 0
	for {
		out, rows, err := s.attempt(ctx, t, old)
		if err != nil {
			return healing.Trained{}, err
		}
		if out.Verdict.Code == gate.Labels {
			contradicted++
		}
		if !mayGain(t.Kind, out, len(rows), contradicted, now().Sub(begun)) {
			return s.conclude(ctx, t, out, rows)
		}
		tell(progress(out, len(rows)))
		if !wait(ctx, untilNext(ctx, now().Sub(t.Since)), trainMargin) {
			return s.conclude(ctx, t, out, rows)
		}
	}
}

// progress tells in words what an attempt came to that waits for more outcomes. The key changes when the verdict does.
func progress(out *gate.Outcome, rows int) (key, text string) {
	v := out.Verdict
	switch v.Code {
	case gate.Promote:
		return string(v.Code), fmt.Sprintf("%s passes the gate on %d outcomes; it waits for some more, of which it may become better", out.Best, rows)
	case gate.Labels:
		return string(v.Code), fmt.Sprintf("after %d outcomes it looks once more, at more of them: %s", rows, v.Reason)
	case gate.Undecided:
		names, told := failures(out)
		return string(v.Code) + out.Best + names, fmt.Sprintf("after %d outcomes it waits for more: %s. The nearest is %s, which fails at %s", rows, v.Reason, out.Best, told)
	}
	return string(v.Code), "it waits for more outcomes: " + v.Reason
}

// failures are the checks that the best candidate fails, by name, and with their figures for people.
func failures(out *gate.Outcome) (names, told string) {
	var name, figures []string
	for _, c := range out.Failed() {
		name = append(name, c.Name)
		figures = append(figures, fmt.Sprintf("%s (%.3f, limit %.3f)", c.Name, c.Value, c.Limit))
	}
	return strings.Join(name, "; "), cmp.Or(strings.Join(figures, "; "), "nothing")
}

// unheard says in words what a training came to for which too few outcomes came in, and what a person can do.
func unheard(t healing.Training, err error) string {
	text := fmt.Sprintf("%v: hand in what became of them (POST /api/v1/feedback), then `aura incident retry %s`", err, t.IncidentID)
	if t.Kind == incident.DataDrift {
		text += "; a sorted file looks like another population too: mix its rows"
	}
	return text
}

// mayGain reports whether further outcomes may settle it, or make it better: the first candidate that is surely the better one
// was trained on few rows of a new world, and looks better on its hold-out than it is. A drift can wait, for a champion that
// fails by it has an incident of its own; there, where safe mode decides meanwhile, one that doesn't fail is waited for a little.
// That outcomes are wrong ends it when it is found on enough of them, or a second time: a person is called for it.
func mayGain(kind string, out *gate.Outcome, rows, contradicted int, waited time.Duration) bool {
	switch out.Verdict.Code {
	case gate.TooFew, gate.Undecided:
		return true
	case gate.Labels:
		return out.Verdict.NeedRows > rows && contradicted < 2
	case gate.Promote:
		return rows < trainComfortable && (kind == incident.DataDrift || out.Candidate.Metrics.Accuracy < out.Floor || waited < trainPatience)
	}
	return false
}

// untilNext is how long the next attempt waits, so long after the change: less where an action's time is nearly over.
func untilNext(ctx context.Context, since time.Duration) time.Duration {
	d := since / trainGrown
	if at, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(at)-trainMargin)
	}
	return max(d, trainAgain)
}

// wait returns false where ctx doesn't live so long and margin longer.
func wait(ctx context.Context, d, margin time.Duration) bool {
	if at, ok := ctx.Deadline(); ok && time.Until(at) < d+margin {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// endingBefore is ctx that ends so long before it does.
func endingBefore(ctx context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, at.Add(-margin))
	}
	return context.WithCancel(ctx)
}

func (s *system) attempt(ctx context.Context, t healing.Training, old []dataset.Row) (*gate.Outcome, []gate.LabelledRow, error) {
	first, cancel := endingBefore(ctx, trainSaid)
	defer cancel()
	var few *shortage
	if _, err := s.enough(first, t.Since, trainLeast, trainLeast); errors.As(err, &few) && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil, &healing.Refused{Reason: unheard(t, err)}
	} else if err != nil {
		return nil, nil, err
	}
	rows, err := s.labelled(ctx, t.Since, trainMost)
	if err != nil {
		return nil, nil, err
	}
	champion, err := s.registry.Load(ctx, s.view.Current().Champion)
	if err != nil {
		return nil, nil, modelTrouble(err)
	}
	out, err := gate.Retrain(ctx, s.schema, champion, rows, old, gate.Options{
		Seed: s.cfg.Seed, Trees: s.cfg.Training.Trees, Depth: s.cfg.Training.Depth, Workers: 1, Bugs: s.bugs(),
		Floor: s.floor(champion.Metrics.Accuracy),
	})
	if err == nil {
		_, failed := failures(out)
		s.log.Info("retraining judged", "action", t.ActionID, "code", out.Verdict.Code, "reason", out.Verdict.Reason, "rows", len(rows), "best", out.Best, "fails", failed)
	}
	return out, rows, err
}

// floor is the accuracy below which the champion fails, as monitoring has it.
func (s *system) floor(validated float64) float64 {
	m := s.cfg.Monitoring
	if validated <= 0 {
		return m.AccuracyFloor
	}
	return min(m.AccuracyFloor, validated-m.AccuracyMargin)
}

// before are stored rows of the population before the change.
func (s *system) before(ctx context.Context, change time.Time) ([]dataset.Row, error) {
	rows, err := s.labelled(ctx, time.Time{}, trainMost+oldRows)
	if err != nil {
		return nil, err
	}
	var old []dataset.Row
	for _, r := range rows {
		if r.AcceptedAt.Before(change) && len(old) < oldRows {
			old = append(old, dataset.Row{Values: r.Values, Bad: r.Bad})
		}
	}
	return old, nil
}

// bugs are the broken feeds that monitoring names now.
func (s *system) bugs() (out []gate.Bug) {
	for _, signal := range s.monitoring.Report().Signals {
		if signal.Bug != nil {
			out = append(out, gate.Bug{Feature: signal.Bug.Feature, Text: signal.Bug.String()})
		}
	}
	return out
}

// conclude registers what passed.
func (s *system) conclude(ctx context.Context, t healing.Training, out *gate.Outcome, rows []gate.LabelledRow) (healing.Trained, error) {
	trained := healing.Trained{Outcome: outcomeNone, Reason: out.Verdict.Reason, Params: map[string]string{"gate": string(out.Verdict.Code)}, Numbers: figures(out)}
	switch out.Verdict.Code {
	case gate.Labels, gate.BrokenFeed, gate.Leak, gate.TooFew:
		trained.Blameless = true // no data that a model may learn from
	case gate.Kept:
		trained.Outcome = outcomeKeep
	case gate.Promote:
		v, err := s.register(ctx, t, out, rows)
		if err != nil {
			return trained, err
		}
		trained = promoted(trained, v)
	}
	return trained, nil
}

// figures of a retraining, for its record.
func figures(out *gate.Outcome) map[string]float64 {
	n := map[string]float64{
		"rows_trained": float64(out.Trained.Rows), "rows_held_out": float64(out.Held.Rows), "champion_auc": out.Champion.Holdout.AUC,
		"champion_accuracy": out.Champion.Holdout.Accuracy,
	}
	for _, s := range out.Scores {
		if s.Name == out.Best {
			n["best_auc"], n["best_accuracy"], n["gain_low"], n["gain_high"] = s.Holdout.AUC, s.Holdout.Accuracy, s.GainLow, s.GainHigh
		}
	}
	return n
}
