package store

import (
	"context"
	"fmt"
	"slices"
)

// lookupChunk bounds the parameters of one query.
const lookupChunk = 500

// Decisions returns those of the given applications (our ids) that are decided, in no particular order.
func (s *Store) Decisions(ctx context.Context, ids []string) ([]Decision, error) {
	var out []Decision
	for chunk := range slices.Chunk(ids, lookupChunk) {
		var rows []storedDecision
		err := s.read(ctx).Select(decisionView).Joins(joinApplication).Where("decisions.id IN ?", chunk).Find(&rows).Error
		if err != nil {
			return nil, readErr("look decisions up", err)
		}
		for i := range rows {
			d, err := rows[i].value()
			if err != nil {
				return nil, fmt.Errorf("store: decision of %s: %w", rows[i].ID, err)
			}
			out = append(out, d)
		}
	}
	return out, nil
}
