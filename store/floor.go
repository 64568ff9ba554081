package store

import (
	"context"
)

// RaiseFloor moves the floor up to the last id below which nothing is undecided, but not above most, and returns it.
// Accept lowers it again for an id that sorts below. It looks on the read pool, so a far way costs the writer nothing.
func (s *Store) RaiseFloor(ctx context.Context, most string) (string, error) {
	s.raising.Lock()
	defer s.raising.Unlock()
	floor, err := write(ctx, s, func(t *tx) (string, error) {
		t.w.memo.least = ""
		return t.w.memo.floor, nil
	})
	if err != nil || most <= floor {
		return floor, err
	}
	to, err := s.decidedUpTo(ctx, floor, most)
	if err != nil {
		return floor, err
	}
	return write(ctx, s, func(t *tx) (string, error) { return t.raiseFloor(to) })
}

// decidedUpTo returns the highest bound up to most below which nothing above floor is undecided.
func (s *Store) decidedUpTo(ctx context.Context, floor, most string) (string, error) {
	waiting, err := s.Undecided(ctx, floor, most, 1)
	if err != nil {
		return "", err
	}
	if len(waiting) == 1 {
		return justBelow(waiting[0].ID), nil
	}
	return most, nil
}

// raiseFloor moves the floor to a bound that was found on the read pool: what was accepted since may sort below it.
func (t *tx) raiseFloor(to string) (string, error) {
	m := &t.w.memo
	if m.least != "" && m.least <= to {
		to = justBelow(m.least)
	}
	if !t.w.dialect.alone() { // so may have what another process accepted; while this transaction lasts, nobody accepts
		var least string
		found, err := t.w.row("SELECT id FROM applications WHERE id > ? AND id <= ? AND "+
			"NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = applications.id) ORDER BY id LIMIT 1", []any{m.floor, to}, &least)
		if err != nil {
			return m.floor, err
		}
		if found {
			to = justBelow(least)
		}
	}
	if to <= m.floor {
		return m.floor, nil
	}
	m.floor = to
	return to, t.w.setMark(markFloor, to)
}
