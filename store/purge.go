package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Policy says how long decided applications are kept, from their acceptance; zero keeps for ever.
type Policy struct {
	Simulated, Others time.Duration
	// Chunk is how many applications one write deletes at most (default 100: a few milliseconds), and Chunks how many
	// such writes one call does at most (default 50).
	Chunk, Chunks int
}

// Purged counts what a purge deleted.
type Purged struct {
	Applications, Feedback int64
	// More says that the purge stopped at its bound, and there may be more to delete.
	More bool
}

// purgeCursors remember how far each class was purged, so that the rows kept are not looked at each time.
type purgeCursors struct {
	mu                sync.Mutex
	simulated, others string
}

// Purge deletes decided applications older than the policy says, with their decisions and outcomes, and loose outcomes
// (unknown) older than Others. It looks on the read pool and deletes in small writes between which others go on. What is
// undecided is never deleted. One call at a time works, a second waits.
func (s *Store) Purge(ctx context.Context, now time.Time, p Policy) (Purged, error) {
	if p.Chunk <= 0 {
		p.Chunk = 100
	}
	if p.Chunks <= 0 {
		p.Chunks = 50
	}
	s.purge.mu.Lock()
	defer s.purge.mu.Unlock()
	var out Purged
	budget := p.Chunks
	if p.Simulated > 0 {
		if err := s.purgeClass(ctx, "a.source = ?", now.Add(-p.Simulated), &s.purge.simulated, p.Chunk, &budget, &out); err != nil {
			return out, err
		}
	}
	if p.Others > 0 {
		cut := now.Add(-p.Others)
		if err := s.purgeClass(ctx, "a.source <> ?", cut, &s.purge.others, p.Chunk, &budget, &out); err != nil {
			return out, err
		}
		if err := s.purgeLoose(ctx, cut, p.Chunk, &budget, &out); err != nil {
			return out, err
		}
	}
	out.More = budget <= 0
	return out, nil
}

// purgeClass deletes chunk after chunk above the cursor.
func (s *Store) purgeClass(ctx context.Context, class string, cut time.Time, cursor *string, chunk int, budget *int, out *Purged) error {
	for ; *budget > 0; *budget-- {
		var ids []string
		err := s.read(ctx).Table("applications a").Joins("JOIN decisions d ON d.id = a.id").
			Where("a.id > ? AND a.id < ?", *cursor, idFloor(cut)).Where(class, SourceSimulator).
			Where("a.accepted_at < ?", micros(cut)).Order("a.id").Limit(chunk).Pluck("a.id", &ids).Error
		if err != nil {
			return readErr("look for what to purge", err)
		}
		if len(ids) == 0 {
			// What is kept up to here needn't be looked at again; what is still undecided is purged after the next open.
			*cursor = max(*cursor, idFloor(cut))
			return nil
		}
		n, err := write(ctx, s, func(t *tx) (Purged, error) { return t.delete(ids) })
		if err != nil {
			return fmt.Errorf("store: purge: %w", err)
		}
		out.Applications += n.Applications
		out.Feedback += n.Feedback
		*cursor = ids[len(ids)-1]
	}
	return nil
}

// delete removes applications with all that hangs on them, and remembers how far.
func (t *tx) delete(ids []string) (Purged, error) {
	var out Purged
	if last := ids[len(ids)-1]; last > t.w.memo.purged {
		t.w.memo.purged = last
		if err := t.w.setMark(markPurged, last); err != nil {
			return out, err
		}
	}
	f := t.db.Where("application IN ?", ids).Delete(&storedFeedback{})
	if f.Error != nil {
		return out, f.Error
	}
	out.Feedback = f.RowsAffected
	if err := t.db.Where("id IN ?", ids).Delete(&storedDecision{}).Error; err != nil {
		return out, err
	}
	a := t.db.Where("id IN ?", ids).Delete(&storedApplication{})
	out.Applications = a.RowsAffected
	return out, a.Error
}

// purgeLoose deletes outcomes that name no application.
func (s *Store) purgeLoose(ctx context.Context, cut time.Time, chunk int, budget *int, out *Purged) error {
	for ; *budget > 0; *budget-- {
		n, err := write(ctx, s, func(t *tx) (int64, error) {
			r := t.db.Where("id IN (SELECT id FROM feedback WHERE kind = 'unknown' AND received_at < ? LIMIT ?)",
				micros(cut), chunk).Delete(&storedFeedback{})
			return r.RowsAffected, r.Error
		})
		if err != nil {
			return fmt.Errorf("store: purge: %w", err)
		}
		out.Feedback += n
		if n < int64(chunk) {
			return nil
		}
	}
	return nil
}

// idFloor is the least id of a moment: a UUIDv7 begins with 48 bits of milliseconds (RFC 9562 §5.7).
func idFloor(t time.Time) string {
	h := fmt.Sprintf("%012x", max(t.UnixMilli(), 0))
	return h[:8] + "-" + h[8:] + "-"
}
