package store

import (
	"context"
	"time"
)

// ApplicationsSince returns applications accepted at or after from, decided or not: latest first, at most limit. It is for
// looking at the newest rows of a population whose outcomes are not known yet.
func (s *Store) ApplicationsSince(ctx context.Context, from time.Time, limit int) ([]Application, error) {
	db := s.read(ctx).Order("id DESC").Limit(limit)
	if !from.IsZero() {
		db = db.Where("id >= ? AND accepted_at >= ?", idFloor(from.Add(-idSlack)), micros(from))
	}
	var rows []storedApplication
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read recent applications", err)
	}
	out := make([]Application, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// ApplicationsBetween returns applications accepted after from and before to, decided or not: earliest first, at most limit.
func (s *Store) ApplicationsBetween(ctx context.Context, from, to time.Time, limit int) ([]Application, error) {
	var rows []storedApplication
	err := s.read(ctx).Order("id").Limit(limit).
		Where("id >= ? AND accepted_at > ? AND accepted_at < ?", idFloor(from.Add(-idSlack)), micros(from), micros(to)).Find(&rows).Error
	if err != nil {
		return nil, readErr("read applications of a time", err)
	}
	out := make([]Application, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}
