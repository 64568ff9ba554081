package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ObjectiveMinute counts the decisions of one minute, and those of them that were in time.
type ObjectiveMinute struct {
	Minute          time.Time
	Decided, InTime int64
}

// objectiveKept is how long minutes are kept.
const objectiveKept = 45 * 24 * time.Hour

type storedObjective struct {
	Minute  int64 `gorm:"primaryKey;autoIncrement:false"`
	Decided int64
	InTime  int64
}

func (storedObjective) TableName() string { return "objective_minutes" }

const objectiveUnit = int64(time.Minute / time.Second)

// AddObjective adds to the counts of minutes, and forgets those that are too old.
func (s *Store) AddObjective(ctx context.Context, minutes []ObjectiveMinute) error {
	if len(minutes) == 0 {
		return nil
	}
	rows, newest := make([]storedObjective, len(minutes)), int64(0)
	for i, m := range minutes {
		rows[i] = storedObjective{m.Minute.Unix() / objectiveUnit, m.Decided, m.InTime}
		newest = max(newest, rows[i].Minute)
	}
	return s.w.do(ctx, func(t *tx) error {
		err := t.db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "minute"}},
			DoUpdates: clause.Assignments(map[string]any{
				"decided": gorm.Expr("objective_minutes.decided + excluded.decided"),
				"in_time": gorm.Expr("objective_minutes.in_time + excluded.in_time"),
			}),
		}).Create(&rows).Error
		if err != nil {
			return err
		}
		return t.db.Where("minute < ?", newest-int64(objectiveKept/time.Minute)).Delete(&storedObjective{}).Error
	})
}

// Objective sums the minutes from since on, of which the first one's begin is returned as Minute; zero without any.
func (s *Store) Objective(ctx context.Context, since time.Time) (ObjectiveMinute, error) {
	var row struct{ First, Decided, InTime int64 }
	err := s.read(ctx).Model(&storedObjective{}).Where("minute >= ?", since.Unix()/objectiveUnit).
		Select("COALESCE(MIN(minute), 0) AS first, COALESCE(SUM(decided), 0) AS decided, COALESCE(SUM(in_time), 0) AS in_time").Scan(&row).Error
	if err != nil || row.First == 0 {
		return ObjectiveMinute{}, readErr("read the objective's minutes", err)
	}
	return ObjectiveMinute{time.Unix(row.First*objectiveUnit, 0).UTC(), row.Decided, row.InTime}, nil
}
