package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

type storedMemory struct {
	ID         int64 `gorm:"primaryKey"`
	Kind       string
	Target     string
	ActionType string
	IncidentID string
	ActionID   string
	Healed     bool
	TookUS     int64 `gorm:"column:took_us"`
	Document   string
	At         int64
}

func (storedMemory) TableName() string { return "memory_chunks" }

// AddMemory keeps the verified outcome of an action; the same action again changes nothing. SaveIncident does it together
// with the verdict. *Refused stale_epoch.
func (s *Store) AddMemory(ctx context.Context, epoch int64, m Memory) error {
	return s.w.do(ctx, func(t *tx) error {
		if err := t.holds(LeaseHealing, epoch); err != nil {
			return err
		}
		return t.addMemory(m, time.Now())
	})
}

func (t *tx) addMemory(m Memory, now time.Time) error {
	if m.Kind == "" || m.ActionType == "" || m.ActionID == "" {
		return refuse(CodeInvalid, "a memory needs the kind of incident, the type and the id of the action")
	}
	if m.At.IsZero() {
		m.At = now
	}
	row := storedMemory{
		0, m.Kind, m.Target, m.ActionType, m.IncidentID, m.ActionID, m.Healed, m.Took.Microseconds(), text(m.Document), micros(m.At),
	}
	return t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
}

// Memories returns outcomes, latest first, of one kind of incident, or of all for "".
func (s *Store) Memories(ctx context.Context, kind string, limit int) ([]Memory, error) {
	var rows []storedMemory
	err := s.read(ctx).Where(&storedMemory{Kind: kind}).Order("id DESC").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, readErr("read memory", err)
	}
	out := make([]Memory, len(rows))
	for i, r := range rows {
		out[i] = Memory{
			r.ID, r.Kind, r.Target, r.ActionType, r.IncidentID, r.ActionID, r.Healed, time.Duration(r.TookUS) * time.Microsecond,
			document(r.Document), fromMicros(r.At),
		}
	}
	return out, nil
}
