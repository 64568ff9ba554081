package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// decisionView is a decision with what it takes from its application.
const decisionView = "decisions.*, a.accepted_at, a.source"

const joinApplication = "LEFT JOIN applications a ON a.id = decisions.id"

// read is a statement on the read pool: it sees every commit before it and waits for no writer.
func (s *Store) read(ctx context.Context) *gorm.DB {
	return s.gorm.Session(&gorm.Session{NewDB: true, Context: ctx})
}

// snapshot runs reads that see one instant.
func (s *Store) snapshot(ctx context.Context, reads func(*gorm.DB) error) error {
	if o := s.dialect.snapshot(); o != nil {
		return s.read(ctx).Transaction(reads, o)
	}
	return s.read(ctx).Transaction(reads)
}

// readErr types the error of a read.
func readErr(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrNotFound
	}
	return fmt.Errorf("store: %s: %w", what, unavailable(err))
}

// Application returns all that is known of an application, by our id or the client's; ErrNotFound.
func (s *Store) Application(ctx context.Context, id string) (Record, error) {
	var out Record
	err := s.snapshot(ctx, func(db *gorm.DB) error {
		var a storedApplication
		err := db.Where("id = ?", id).Take(&a).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = db.Where("client_id = ?", id).Take(&a).Error
		}
		if err != nil {
			return err
		}
		out.Application = a.value()
		var ds []storedDecision
		err = db.Select(decisionView).Joins(joinApplication).Where("decisions.id = ?", a.ID).Limit(1).Find(&ds).Error
		if err != nil {
			return err
		}
		if len(ds) == 1 {
			d, err := ds[0].value()
			if err != nil {
				return err
			}
			out.Decision = &d
		}
		var fs []storedFeedback
		err = db.Where("application = ? AND kind IN ?", a.ID, []FeedbackKind{Joined, Early}).Limit(1).Find(&fs).Error
		if len(fs) == 1 {
			f := fs[0].value()
			f.Decision = out.Decision
			out.Outcome = &f
		}
		return err
	})
	if err != nil {
		return Record{}, readErr("read an application", err)
	}
	return out, nil
}

// RecentDecisions returns decisions by falling id (the order of acceptance), below beforeID unless that is "".
func (s *Store) RecentDecisions(ctx context.Context, limit int, beforeID string) ([]Decision, error) {
	db := s.read(ctx).Select(decisionView).Joins(joinApplication).Order("decisions.id DESC").Limit(limit)
	if beforeID != "" {
		db = db.Where("decisions.id < ?", beforeID)
	}
	var rows []storedDecision
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read decisions", err)
	}
	out := make([]Decision, len(rows))
	for i := range rows {
		d, err := rows[i].value()
		if err != nil {
			return nil, fmt.Errorf("store: decision of %s: %w", rows[i].ID, err)
		}
		out[i] = d
	}
	return out, nil
}

// Undecided returns applications without a decision by rising id, above afterID and up to lastID ("": no end). It looks at
// every application between them, so start at Floor.
func (s *Store) Undecided(ctx context.Context, afterID, lastID string, limit int) ([]Application, error) {
	var rows []storedApplication
	q := s.read(ctx).Where("id > ?", afterID).Where("NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = applications.id)")
	if lastID != "" {
		q = q.Where("id <= ?", lastID)
	}
	err := q.Order("id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, readErr("read the undecided", err)
	}
	out := make([]Application, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// Known says which of the ids, ours or the client's, are of applications here.
func (s *Store) Known(ctx context.Context, ids []string) (map[string]bool, error) {
	known := make(map[string]bool, len(ids))
	for part := range slices.Chunk(ids, partRows) {
		for _, column := range []string{"id", "client_id"} {
			var found []string
			if err := s.read(ctx).Model(&storedApplication{}).Where(column+" IN ?", part).Pluck(column, &found).Error; err != nil {
				return nil, readErr("look applications up", err)
			}
			for _, id := range found {
				known[id] = true
			}
		}
	}
	return known, nil
}

// Floor is an id up to which everything is decided, "" at first.
func (s *Store) Floor(ctx context.Context) (string, error) {
	var rows []storedMark
	if err := s.read(ctx).Where("name = ?", markFloor).Limit(1).Find(&rows).Error; err != nil {
		return "", readErr("read the floor", err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return rows[0].Value, nil
}

// Counts counts rows by scanning the tables: for checks and drills, not for a metric.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	out := Counts{Feedback: map[FeedbackKind]int64{}}
	err := s.snapshot(ctx, func(db *gorm.DB) error {
		if err := db.Model(&storedApplication{}).Count(&out.Applications).Error; err != nil {
			return err
		}
		if err := db.Model(&storedDecision{}).Count(&out.Decisions).Error; err != nil {
			return err
		}
		err := db.Model(&storedApplication{}).
			Where("NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = applications.id)").Count(&out.Undecided).Error
		if err != nil {
			return err
		}
		var kinds []struct {
			Kind string
			N    int64
		}
		err = db.Model(&storedFeedback{}).Select("kind, COUNT(*) AS n").Group("kind").Scan(&kinds).Error
		for _, k := range kinds {
			out.Feedback[FeedbackKind(k.Kind)] = k.N
		}
		return err
	})
	return out, readErr("count", err)
}
