package store

import (
	"context"
	"fmt"
	"slices"
)

// Unannounced returns joined outcomes with their decisions that nobody has called announced, oldest first, at most limit.
// What was joined this very moment is among them.
func (s *Store) Unannounced(ctx context.Context, limit int) ([]Feedback, error) {
	var rows []storedFeedback
	if err := s.read(ctx).Where("to_announce = 1").Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, readErr("look for unannounced outcomes", err)
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Application
	}
	decided, err := s.Decisions(ctx, ids)
	if err != nil {
		return nil, err
	}
	of := make(map[string]*Decision, len(decided))
	for i := range decided {
		of[decided[i].ID] = &decided[i]
	}
	var out []Feedback
	for _, r := range rows {
		f := r.value()
		if f.Decision = of[r.Application]; f.Decision != nil { // else purged between the two reads
			out = append(out, f)
		}
	}
	return out, nil
}

// Announced notes that the outcomes of the given applications (our ids) were announced. Many in one call cost little: it is
// meant for what was heard in a while, never for each.
func (s *Store) Announced(ctx context.Context, ids []string) error {
	for chunk := range slices.Chunk(ids, lookupChunk) {
		err := s.w.do(ctx, func(t *tx) error {
			return t.db.Model(&storedFeedback{}).Where("application IN ? AND to_announce = 1", chunk).Update("to_announce", 0).Error
		})
		if err != nil {
			return fmt.Errorf("store: note announced outcomes: %w", err)
		}
	}
	return nil
}
