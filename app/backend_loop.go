package app

import (
	"context"
	"sync"
	"time"

	"aura/agents/desired"
	"aura/agents/monitoring"
	"aura/app/config"
	"aura/mlops/schema"
	"aura/store"
	"aura/web/api"
)

// loopBackend answers for everything that watches and heals. Most of it are rows, so it works without those agents.
type loopBackend struct {
	incidents *incidentsBackend
	signals   *signalsBackend
	approvals *approvalsBackend
	healing   *healingBackend
	board     *lately[api.Scoreboard]
	ranking   *lately[[]api.Ranking]
}

// loopAgents is what of the loop runs in this process; nil for nothing.
type loopAgents struct {
	desk    approvalDesk
	healing incidentDesk
	profile func() string
	dryRun  bool
}

func newLoopBackend(cfg config.Config, sch *schema.Schema, s *store.Store, view *desired.View, announce announcer, mon *monitoring.Monitoring, tel *telemetry, heal *healer, loop *loopAgents,
) loopBackend {
	b := loopBackend{
		incidents: &incidentsBackend{store: s, slo: tel.objective.over, playbook: heal.playbook},
		signals:   &signalsBackend{mon, sch},
		approvals: &approvalsBackend{store: s, keyFile: keyFile(cfg)},
		healing:   &healingBackend{store: s, view: view, announce: announce},
	}
	if loop != nil {
		b.approvals.desk, b.incidents.desk = loop.desk, loop.healing
		b.healing.heals, b.healing.profile, b.healing.dryRun = true, loop.profile, loop.dryRun
	}
	b.board = &lately[api.Scoreboard]{ask: func(ctx context.Context) (api.Scoreboard, error) { return b.incidents.Scoreboard(ctx, boardWindow) }}
	b.ranking = &lately[[]api.Ranking]{ask: func(ctx context.Context) ([]api.Ranking, error) { return b.incidents.Ranking(ctx, "") }}
	return b
}

// How much of each the page shows.
const (
	lastIncidents = 8
	lastMemories  = 8
	boardWindow   = 24 * time.Hour
	boardAge      = 5 * time.Second
)

// show adds what the page shows of the loop.
func (b loopBackend) show(ctx context.Context, out *api.Overview) error {
	var err error
	if out.Healing, err = b.healing.Healing(ctx); err != nil {
		return err
	}
	if out.Signals, err = b.signals.Signals(ctx); err != nil {
		return err
	}
	rows, err := b.incidents.store.Incidents(ctx, store.IncidentFilter{}, "", lastIncidents)
	if err != nil {
		return refusal(err)
	}
	for _, r := range rows {
		in := incidentOf(r)
		out.Incidents = append(out.Incidents, in)
		if !in.Open() {
			continue
		}
		d, err := b.incidents.detail(ctx, r)
		if err != nil {
			return err
		}
		out.Current = append(out.Current, d)
	}
	if len(out.Current) == 0 && len(rows) > 0 {
		d, err := b.incidents.detail(ctx, rows[0])
		if err != nil {
			return err
		}
		out.Current = append(out.Current, d)
	}
	waiting, err := b.approvals.Approvals(ctx, false, lastIncidents, "")
	if err != nil {
		return err
	}
	out.Approvals = waiting.Items
	if out.Memories, err = b.incidents.Memories(ctx, "", lastMemories); err != nil {
		return err
	}
	if out.Ranking, err = b.ranking.get(ctx); err != nil {
		return err
	}
	out.Scoreboard, err = b.board.get(ctx)
	return err
}

// lately asks each few seconds for what is costly: it reads many rows.
type lately[T any] struct {
	ask func(context.Context) (T, error)

	mu   sync.Mutex
	at   time.Time
	last T
}

func (c *lately[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now().Sub(c.at).Abs() < boardAge {
		return c.last, nil
	}
	value, err := c.ask(ctx)
	if err == nil {
		c.last, c.at = value, now()
	}
	return value, err
}
