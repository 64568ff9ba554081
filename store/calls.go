package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// PersonCall is the call of a person, by the id of what it is about.
type PersonCall struct {
	ID string
	// Epoch is that of healing's lease under which it is to be made: of who claimed it last.
	Epoch int64
	// MadeAt is when it was made; zero: not yet, as far as is known.
	MadeAt time.Time
}

type storedCall struct {
	ID     string `gorm:"primaryKey"`
	Epoch  int64
	MadeAt int64
}

func (storedCall) TableName() string { return "person_calls" }

// callsKept is how long a call that was made is remembered: no incident asks for it again so late.
const callsKept = 90 * 24 * time.Hour

// ClaimCall makes the call of a person the business of who holds healing's lease under the epoch; claimed is false where it has
// been made. *Refused stale_epoch.
func (s *Store) ClaimCall(ctx context.Context, epoch int64, id string) (claimed bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		if err := t.holds(LeaseHealing, epoch); err != nil {
			return false, err
		}
		var rows []storedCall
		if err := t.db.Where("id = ?", id).Limit(1).Find(&rows).Error; err != nil {
			return false, err
		}
		if len(rows) == 1 && rows[0].MadeAt != 0 {
			return false, nil
		}
		if err := t.w.exec("DELETE FROM person_calls WHERE made_at > 0 AND made_at < ?", micros(time.Now().Add(-callsKept))); err != nil {
			return false, err
		}
		return true, t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&storedCall{ID: id, Epoch: epoch}).Error
	})
}

// CallMade notes that a call that was claimed has been made; by whom doesn't matter.
func (s *Store) CallMade(ctx context.Context, id string) error {
	return s.w.do(ctx, func(t *tx) error {
		return t.w.exec("UPDATE person_calls SET made_at = ? WHERE id = ? AND made_at = 0", micros(time.Now()), id)
	})
}

// CallOf returns the call with the id; ErrNotFound.
func (s *Store) CallOf(ctx context.Context, id string) (PersonCall, error) {
	var row storedCall
	if err := s.read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return PersonCall{}, readErr("read a call of a person", err)
	}
	c := PersonCall{ID: row.ID, Epoch: row.Epoch}
	if row.MadeAt != 0 {
		c.MadeAt = fromMicros(row.MadeAt)
	}
	return c, nil
}
