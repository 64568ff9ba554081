package app

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/app/drill"
	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// drillSystem is this process as a drill sees it: rows, and what monitoring says. One goroutine looks at a time.
type drillSystem struct {
	parts
	cfg  config.Config
	seen map[string]seenCase
}

func newDrillSystem(p parts, cfg config.Config) *drillSystem {
	return &drillSystem{parts: p, cfg: cfg, seen: map[string]seenCase{}}
}

// seenCase is what was read of an incident. All that belongs to it is saved with it, under a new version.
type seenCase struct {
	version int64
	drill.Case
}

var _ drill.System = (*drillSystem)(nil)

// Inject implements drill.System: as the API does it, with the record for the scoreboard.
func (s *drillSystem) Inject(ctx context.Context, f fault.Fault) (fault.Fault, error) {
	injected, err := s.Faults.Inject(f)
	if err != nil {
		return f, err
	}
	return injected, (&faults{registry: s.Faults, store: s.Store}).record(ctx, faultOf(injected), "drill")
}

// Stop implements drill.System.
func (s *drillSystem) Stop(_ context.Context, id string) error {
	if err := s.Faults.Remove(id); err != nil && !errors.Is(err, fault.ErrNotFound) {
		return err
	}
	return nil
}

// drillCases bounds how many incidents a drill looks back at.
const drillCases = 50

// Cases implements drill.System. A drill looks often: only what has changed is read.
func (s *drillSystem) Cases(ctx context.Context) ([]drill.Case, error) {
	rows, err := s.Store.Incidents(ctx, store.IncidentFilter{}, "", drillCases)
	if err != nil {
		return nil, err
	}
	out := make([]drill.Case, 0, len(rows))
	for _, r := range rows {
		known, ok := s.seen[r.ID]
		if !ok || known.version != r.Version {
			c, err := s.read(ctx, r)
			if err != nil {
				return nil, err
			}
			known = seenCase{r.Version, c}
			s.seen[r.ID] = known
		}
		c := known.Case
		c.Actions = slices.Clone(c.Actions)
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b drill.Case) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return out, nil
}

func (s *drillSystem) read(ctx context.Context, r store.IncidentRow) (drill.Case, error) {
	c := drill.Case{Incident: documentOf(r), Learned: map[string]time.Time{}, Gates: map[string]drill.Gate{}}
	if c.ID == "" {
		return c, errors.New("incident " + r.ID + " can't be read")
	}
	memories, err := s.Store.Memories(ctx, "", 10*drillCases)
	if err != nil {
		return c, err
	}
	for _, m := range memories {
		if m.IncidentID == r.ID {
			c.Learned[m.ActionID] = m.At
		}
	}
	return c, s.actions(ctx, &c)
}

// actions takes from the actions' own rows when they took effect, and what the gate measured.
func (s *drillSystem) actions(ctx context.Context, c *drill.Case) error {
	if len(c.Actions) == 0 {
		return nil
	}
	rows, err := s.Store.Actions(ctx, store.ActionFilter{IncidentID: c.ID}, "", 200)
	if err != nil {
		return err
	}
	for _, r := range rows {
		i := slices.IndexFunc(c.Actions, func(a incident.Action) bool { return a.ID == r.ID })
		if i < 0 {
			continue // the undo of another one
		}
		c.Actions[i].ExecutedAt = r.ExecutedAt
		if r.Type != incident.TriggerRetraining || r.ExecutedAt.IsZero() {
			continue
		}
		effect, err := s.Store.Executed(ctx, r.ID)
		var g drill.Gate
		if err != nil || json.Unmarshal(effect.Detail, &g) != nil {
			continue // the figures are for show
		}
		c.Gates[r.ID] = g
	}
	return nil
}

// State implements drill.System.
func (s *drillSystem) State(ctx context.Context) (drill.State, error) {
	h, err := (&healingBackend{store: s.Store, heals: s.Healer.healing != nil}).Healing(ctx)
	if err != nil {
		return drill.State{}, err
	}
	view := s.View.Current()
	out := drill.State{Mode: string(view.Mode), Champion: view.Champion, Healing: h.State, Signals: map[string]drill.Signal{}}
	switch h.State {
	case api.HealingPaused:
		out.Why = h.By + " paused it: " + h.Reason
	case api.HealingOff:
		out.Why = "healing.enabled is false, or the agent is not selected"
	}
	for _, x := range s.Monitoring.Report().Signals {
		out.Signals[x.Fingerprint()] = drill.Signal{State: string(x.State), Value: x.Value, Threshold: x.Threshold, N: x.N}
	}
	return out, nil
}

// drillRows bounds how many applications one figure is measured on: the newest.
const drillRows = 20_000

// Figures implements drill.System.
func (s *drillSystem) Figures(ctx context.Context, from, to time.Time) (drill.Figures, error) {
	var out drill.Figures
	rows, err := s.Store.ApplicationsSince(ctx, from, drillRows)
	if err != nil {
		return out, err
	}
	var ids []string
	for _, a := range rows {
		if a.AcceptedAt.Before(to) {
			ids = append(ids, a.ID)
		}
	}
	decisions, err := s.Store.Decisions(ctx, ids)
	if err != nil {
		return out, err
	}
	out.Accepted, out.Decided = len(ids), len(decisions)
	var took []float64
	for _, d := range decisions {
		took = append(took, millis(d.Latency))
		if d.Mode == store.ModeSafe {
			out.SafeMode += 1 / float64(len(decisions))
		}
	}
	slices.Sort(took)
	if n := out.Accepted; n > 0 && n/2 < len(took) {
		out.MedianMS = &took[n/2]
	}
	return out, s.accuracy(ctx, from, to, &out)
}

func (s *drillSystem) accuracy(ctx context.Context, from, to time.Time, out *drill.Figures) error {
	labelled, err := s.Store.LabelledSince(ctx, from, now().Add(time.Second), drillRows)
	if err != nil {
		return err
	}
	right := 0
	for _, r := range labelled {
		if !r.AcceptedAt.Before(to) || r.Probability == nil {
			continue
		}
		out.Outcomes++
		if (*r.Probability >= .5) == (r.Outcome == store.Defaulted) {
			right++
		}
	}
	if out.Outcomes > 0 {
		share := float64(right) / float64(out.Outcomes)
		out.Accuracy = &share
	}
	return nil
}
