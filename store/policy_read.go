package store

import "context"

// Request returns one request; ErrNotFound.
func (s *Store) Request(ctx context.Context, id string) (PolicyRequest, error) {
	var row storedRequest
	if err := s.read(ctx).Where("request_id = ?", id).Take(&row).Error; err != nil {
		return PolicyRequest{}, readErr("read a policy request", err)
	}
	return row.value(), nil
}

// PendingRequests returns undecided requests, oldest first: PENDING ones, and those that wait for a person (ESCALATED).
func (s *Store) PendingRequests(ctx context.Context, limit int) ([]PolicyRequest, error) {
	var rows []storedRequest
	err := s.read(ctx).Where("status IN ?", []string{RequestPending, RequestEscalated}).Order("created_at, request_id").
		Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, readErr("read policy requests", err)
	}
	out := make([]PolicyRequest, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// PolicyDecisions returns verdicts, latest first, below the id before unless that is 0.
func (s *Store) PolicyDecisions(ctx context.Context, f DecisionFilter, before int64, limit int) ([]PolicyDecision, error) {
	db := s.read(ctx).Order("id DESC").Limit(limit).Where(&storedVerdict{IncidentID: f.IncidentID, ActionID: f.ActionID})
	if len(f.RequestIDs) > 0 {
		db = db.Where("request_id IN ?", f.RequestIDs)
	}
	if f.FinalOnly {
		db = db.Where("verdict <> ?", AGLEscalated)
	}
	if before > 0 {
		db = db.Where("id < ?", before)
	}
	var rows []storedVerdict
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read policy decisions", err)
	}
	out := make([]PolicyDecision, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}
