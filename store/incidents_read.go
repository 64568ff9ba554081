package store

import (
	"context"

	"gorm.io/gorm"
)

// Incident returns one incident; ErrNotFound.
func (s *Store) Incident(ctx context.Context, id string) (IncidentRow, error) {
	return oneIncident(s.read(ctx).Where("incident_id = ?", id))
}

// LastResolved returns the incident of the fingerprint that was resolved last, for a relapse; ErrNotFound. A suspicion that
// was never confirmed has no time of it.
func (s *Store) LastResolved(ctx context.Context, fingerprint string) (IncidentRow, error) {
	return oneIncident(s.read(ctx).Where("fingerprint = ? AND status = ? AND resolved_at IS NOT NULL", fingerprint, IncidentResolved).
		Order("resolved_at DESC, incident_id DESC"))
}

func oneIncident(db *gorm.DB) (IncidentRow, error) {
	var row storedIncident
	if err := db.Take(&row).Error; err != nil {
		return IncidentRow{}, readErr("read an incident", err)
	}
	return row.value(), nil
}

// OpenIncidents returns what healing still has to do with, oldest first: open and mitigating incidents, and resolved or
// failed ones that still are degraded.
func (s *Store) OpenIncidents(ctx context.Context) ([]IncidentRow, error) {
	return manyIncidents(s.read(ctx).Where("status IN ?", []string{IncidentOpen, IncidentMitigating}).
		Or("degraded = ? AND restored_at IS NULL", true).Order("detected_at, incident_id"))
}

// Incidents returns incidents by falling time of detection, after the one with the id after unless that is "".
func (s *Store) Incidents(ctx context.Context, f IncidentFilter, after string, limit int) ([]IncidentRow, error) {
	db := s.read(ctx).Order("detected_at DESC, incident_id DESC").Limit(limit).
		Where(&storedIncident{Status: f.Status, IncidentType: f.Type, Target: f.Target, Fingerprint: f.Fingerprint})
	if !f.DetectedSince.IsZero() {
		db = db.Where("detected_at >= ?", stampOf(f.DetectedSince))
	}
	if after != "" {
		db = db.Where("(detected_at, incident_id) < (SELECT detected_at, incident_id FROM incidents WHERE incident_id = ?)", after)
	}
	return manyIncidents(db)
}

func manyIncidents(db *gorm.DB) ([]IncidentRow, error) {
	var rows []storedIncident
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read incidents", err)
	}
	out := make([]IncidentRow, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// Action returns one action; ErrNotFound.
func (s *Store) Action(ctx context.Context, id string) (ActionRow, error) {
	var row storedAction
	if err := s.read(ctx).Where("action_id = ?", id).Take(&row).Error; err != nil {
		return ActionRow{}, readErr("read an action", err)
	}
	return row.value(), nil
}

// Actions returns actions by falling time of proposal, after the one with the id after unless that is "".
func (s *Store) Actions(ctx context.Context, f ActionFilter, after string, limit int) ([]ActionRow, error) {
	db := f.where(s.read(ctx)).Order("proposed_at DESC, action_id DESC").Limit(limit)
	if after != "" {
		db = db.Where("(proposed_at, action_id) < (SELECT proposed_at, action_id FROM healing_actions WHERE action_id = ?)", after)
	}
	var rows []storedAction
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read actions", err)
	}
	out := make([]ActionRow, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// CountActions counts actions, for budgets: those executed since a time, forward ones only, of a type or on a target.
func (s *Store) CountActions(ctx context.Context, f ActionFilter) (int, error) {
	var n int64
	err := f.where(s.read(ctx).Model(&storedAction{})).Count(&n).Error
	return int(n), readErr("count actions", err)
}

func (f ActionFilter) where(db *gorm.DB) *gorm.DB {
	db = db.Where(&storedAction{IncidentID: f.IncidentID, Target: f.Target, AGLDecision: verdictOf(f.AGLDecision)})
	if len(f.Types) > 0 {
		db = db.Where("action_type IN ?", f.Types)
	}
	switch {
	case f.ExecutedSince.IsZero():
	case f.OrAllowed:
		db = db.Where("(executed_at >= ? OR executed_at IS NULL AND finished_at IS NULL AND agl_decision IN ?)",
			stampOf(f.ExecutedSince), []string{AGLApproved, AGLModified})
	default:
		db = db.Where("executed_at >= ?", stampOf(f.ExecutedSince))
	}
	if f.ForwardOnly {
		db = db.Where("is_undo = ?", false)
	}
	return db
}
