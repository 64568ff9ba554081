package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"aura/agents/healing"
	"aura/agents/reference"
	"aura/healing/detect"
	"aura/mlops/registry"
	"aura/store"
)

const (
	growEvery = 5 * time.Second
	// growAfter is how long a row waits before it may join a reference: a change that begins is suspected sooner, and then
	// the rows from its beginning are left out.
	growAfter = 30 * time.Second
	// growLeast rows are judged at once, growMost at most: fewer look like no population. All of them join, or as many as there is room for.
	growLeast, growMost = 500, 2000
)

// grower lets an accepted reference grow from the rows that it was accepted with to acceptMost, while nothing is suspected;
// then it is frozen. It goes on with what was approved with ACCEPT_REFERENCE, the population since the change, and makes only
// the shares of its bins more certain: until then the sequential detectors are WARMING. A training sample, or a reference
// that was left, does not grow.
type grower struct {
	store  *store.Store
	holder *reference.Holder
	system *system
	report func() detect.Report
	// heals tells whether this process holds healing's lease: of several, that one lets the reference grow.
	heals func(ctx context.Context) (bool, error)
	after time.Duration
	log   *slog.Logger

	calm time.Time // since when nothing was suspected; zero while something is
}

// newGrower makes the grower of this process; nil where healing, and so ACCEPT_REFERENCE, is not here.
func newGrower(p parts, log *slog.Logger) *grower {
	if p.Healer.system == nil {
		return nil
	}
	return &grower{
		store: p.Store, holder: p.Reference, system: p.Healer.system, report: p.Monitoring.Report, heals: healsHere(p.Store), after: growAfter,
		log: log.With("component", "reference"),
	}
}

func healsHere(st *store.Store) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		l, err := st.LeaseOf(ctx, store.LeaseHealing)
		return l.Held, err
	}
}

// growth is the step that lets the accepted reference grow.
func growth(g *grower) Step {
	if g == nil {
		return Step{}
	}
	return loop("accepted reference", g.run)
}

func (g *grower) run(ctx context.Context) {
	every(growEvery, func(ctx context.Context) {
		if err := g.step(ctx, now()); err != nil && ctx.Err() == nil {
			g.log.Warn("the accepted reference could not grow; trying again", "err", err)
		}
	})(ctx)
}

// step looks once whether rows may join.
func (g *grower) step(ctx context.Context, at time.Time) error {
	if !g.quiet(at) {
		g.calm = time.Time{}
		return nil
	}
	if g.calm.IsZero() {
		g.calm = at
	}
	r := g.holder.Current()
	if r == nil || !strings.HasPrefix(r.ID, healing.AcceptedPrefix) || r.Rows >= acceptMost {
		return nil
	}
	from := r.Until
	if from.Before(g.calm) {
		from = g.calm // what came while something was suspected stays out
	}
	if heals, err := g.heals(ctx); !heals || err != nil {
		return err
	}
	found, err := g.store.ApplicationsBetween(ctx, from, at.Add(-g.after), growMost)
	if err != nil || len(found) < growLeast {
		return err
	}
	return g.grow(ctx, r, found)
}

// quiet reports whether monitoring sees, and suspects nothing of the data or the model.
func (g *grower) quiet(at time.Time) bool {
	report := g.report()
	if age := at.Sub(report.At); report.At.IsZero() || age > blindAfter || age < -blindAfter {
		return false
	}
	for _, s := range report.Signals {
		if s.State.Active() && (s.Kind == detect.DataDrift || s.Kind == detect.PerfDrop || s.Kind == detect.BusDown) {
			return false
		}
	}
	return true
}

// grow adds rows to the reference in force, if they look like it.
func (g *grower) grow(ctx context.Context, r *detect.Reference, found []store.Application) error {
	rows, at := make([][]float64, 0, len(found)), make([]time.Time, 0, len(found))
	for _, a := range found {
		if values, err := valuesOf(g.system.schema, a.Features); err == nil {
			rows, at = append(rows, values), append(at, a.AcceptedAt)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if fits, worst := r.Fits(rows, matchPSI); !fits {
		g.log.Warn("rows that nobody suspects differ from the accepted reference; it doesn't grow", "target", worst.Target, "psi", worst.Corrected)
		return nil
	}
	if room := acceptMost - r.Rows; len(rows) > room {
		rows, at = rows[:room], at[:room]
	}
	version := g.system.view.Current().Champion
	var scores []float64
	if r.Scores[version] != nil {
		m, err := g.system.registry.Load(ctx, version)
		if err != nil {
			return err
		}
		scores = scoresOfRows(m, rows)
	}
	grown := r.Grow(rows, version, scores, at[len(at)-1])
	document, err := json.Marshal(grown)
	if err != nil {
		return fmt.Errorf("reference %s: %w", r.ID, err)
	}
	reason := fmt.Sprintf("%d further rows, nothing suspected", len(rows))
	if err := g.store.GrowReference(ctx, store.Reference{ID: r.ID, Rows: grown.Rows, Document: document, By: healing.Name, Reason: reason}, r.Rows); err != nil {
		return err
	}
	if grown.Rows >= acceptMost {
		reason += "; frozen"
	}
	g.log.Info("the accepted reference has grown", "id", r.ID, "rows", grown.Rows, "why", reason)
	return g.holder.Again(ctx)
}

func scoresOfRows(m *registry.Model, rows [][]float64) []float64 {
	scores := make([]float64, len(rows))
	for i, values := range rows {
		scores[i] = m.Score(m.Schema().Vector(values))
	}
	return scores
}
