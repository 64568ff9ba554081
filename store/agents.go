package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// NextIncarnation hands out the number of an agent instance's next life, from 1. No number is handed out twice.
func (s *Store) NextIncarnation(ctx context.Context, agent, instance string) (int64, error) {
	return write(ctx, s, func(t *tx) (int64, error) {
		var n int64
		_, err := t.w.row("INSERT INTO agent_incarnations (agent, instance, incarnation, started_at) VALUES (?, ?, 1, ?) "+
			"ON CONFLICT (agent, instance) DO UPDATE SET incarnation = agent_incarnations.incarnation + 1, "+
			"started_at = excluded.started_at RETURNING incarnation", []any{agent, instance, micros(time.Now())}, &n)
		return n, err
	})
}

// SaveHealth keeps the last that is known of agent instances. An older life never overwrites a newer one.
func (s *Store) SaveHealth(ctx context.Context, hs []AgentHealth) error {
	if len(hs) == 0 {
		return nil
	}
	rows := make([]storedHealth, len(hs))
	for i, h := range hs {
		rows[i] = storedHealth{
			Agent: h.Agent, Instance: h.Instance, Incarnation: h.Incarnation, State: h.State, Cause: h.Cause, Watermark: h.Watermark,
			Queue: h.Queue, BeatAt: micros(h.BeatAt), QueueAgeUS: h.QueueAge.Microseconds(), P50US: h.P50.Microseconds(), Generation: h.Generation,
		}
		if h.Stuck {
			rows[i].Stuck = 1
		}
	}
	return s.w.do(ctx, func(t *tx) error {
		now, err := t.clock()
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].SavedAt = micros(now)
		}
		newer := clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "excluded.incarnation >= agent_health.incarnation"}}}
		return t.db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "agent"}, {Name: "instance"}},
			DoUpdates: clause.AssignmentColumns([]string{
				"incarnation", "state", "cause", "watermark", "queue", "beat_at", "queue_age_us", "p50_us", "stuck", "generation", "saved_at",
			}),
			Where: newer,
		}).Create(&rows).Error
	})
}

// Health returns what SaveHealth kept, by agent and instance.
func (s *Store) Health(ctx context.Context) ([]AgentHealth, error) {
	var rows []storedHealth
	if err := s.read(ctx).Order("agent, instance").Find(&rows).Error; err != nil {
		return nil, readErr("read agent health", err)
	}
	now, err := s.clock(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]AgentHealth, len(rows))
	for i, r := range rows {
		out[i] = AgentHealth{
			Agent: r.Agent, Instance: r.Instance, Incarnation: r.Incarnation, State: r.State, Cause: r.Cause, Watermark: r.Watermark,
			Queue: r.Queue, BeatAt: fromMicros(r.BeatAt), QueueAge: time.Duration(r.QueueAgeUS) * time.Microsecond,
			P50: time.Duration(r.P50US) * time.Microsecond, Stuck: r.Stuck != 0, Generation: r.Generation, Age: now.Sub(fromMicros(r.SavedAt)),
		}
	}
	return out, nil
}
