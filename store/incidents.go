package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// SaveIncident commits an incident with all that its step produced, in one transaction under the healing lease. The row's
// Version must be the stored one (0 for a new incident) and is raised; use the returned row for the next save. Actions
// are inserted or updated by id, and never lose what the execution or governance wrote. *Refused: stale_epoch, conflict
// (loaded before somebody else's save), incident_open (one of the same fingerprint is), late (the request that it answers).
func (s *Store) SaveIncident(ctx context.Context, epoch int64, row IncidentRow, with IncidentWrites) (IncidentRow, error) {
	if row.ID == "" || row.Fingerprint == "" || row.DetectedAt.IsZero() {
		return IncidentRow{}, refuse(CodeInvalid, "an incident needs an id, a fingerprint and the time of its detection")
	}
	with = with.clone()
	return write(ctx, s, func(t *tx) (IncidentRow, error) {
		if err := t.holds(LeaseHealing, epoch); err != nil {
			return IncidentRow{}, err
		}
		now := time.Now()
		if with.Answers != "" {
			if err := t.answerRequest(with.Answers, ""); err != nil {
				return IncidentRow{}, err
			}
		}
		saved, err := t.saveIncident(row, now)
		if err != nil {
			return IncidentRow{}, err
		}
		for _, a := range with.Actions {
			if err := t.saveAction(row.ID, a, now); err != nil {
				return IncidentRow{}, err
			}
		}
		for _, r := range with.Requests {
			if err := t.putRequest(r, now); err != nil {
				return IncidentRow{}, err
			}
		}
		for _, id := range with.Withdraw {
			if err := t.withdraw(id, now); err != nil {
				return IncidentRow{}, err
			}
		}
		for _, m := range with.Memories {
			if err := t.addMemory(m, now); err != nil {
				return IncidentRow{}, err
			}
		}
		return saved, t.audit(with.Audit...)
	})
}

// clone keeps the writer from reading slices that the caller changes after its context ended.
func (w IncidentWrites) clone() IncidentWrites {
	return IncidentWrites{
		Actions: slices.Clone(w.Actions), Requests: slices.Clone(w.Requests), Withdraw: slices.Clone(w.Withdraw),
		Memories: slices.Clone(w.Memories), Answers: w.Answers, Audit: slices.Clone(w.Audit),
	}
}

func (t *tx) saveIncident(in IncidentRow, now time.Time) (IncidentRow, error) {
	var rows []storedIncident
	if err := t.db.Where("incident_id = ?", in.ID).Limit(1).Find(&rows).Error; err != nil {
		return IncidentRow{}, err
	}
	var before IncidentRow
	if len(rows) == 1 {
		before = rows[0].value()
	}
	if before.Version != in.Version {
		return IncidentRow{}, refuse(CodeConflict, "incident %s is at version %d, not %d", in.ID, before.Version, in.Version)
	}
	in.Version, in.UpdatedAt = before.Version+1, now
	row := incidentOf(in)
	if err := t.db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "incident_id"}}, UpdateAll: true}).Create(&row).Error; err != nil {
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return IncidentRow{}, refuse(CodeIncidentOpen, "another incident of %s is open", in.Fingerprint)
		}
		return IncidentRow{}, err
	}
	out := row.value()
	facts := row.facts()
	if len(rows) == 1 && maps.Equal(facts, rows[0].facts()) {
		return out, nil
	}
	kind := "incident." + strings.ToLower(in.State)
	if before.Status == in.Status && before.State == in.State && before.Degraded == in.Degraded {
		kind = "incident.changed"
	}
	facts["from_status"], facts["from_state"] = before.Status, before.State
	return out, t.record(now, LeaseHealing, kind, in.ID, facts)
}

// saveAction inserts or updates one action. What other transactions wrote stays: the time of execution, and a verdict
// where this row has none, with what a MODIFIED one made of the action.
func (t *tx) saveAction(incident string, a ActionRow, now time.Time) error {
	if a.ID == "" || a.IncidentID != incident {
		return refuse(CodeInvalid, "action %q of incident %q can't be saved with incident %s", a.ID, a.IncidentID, incident)
	}
	if a.ProposedAt.IsZero() {
		a.ProposedAt = now
	}
	row := actionOf(a)
	var rows []storedAction
	if err := t.db.Where("action_id = ?", a.ID).Limit(1).Find(&rows).Error; err != nil {
		return err
	}
	kinds := []string{"action.proposed"}
	if len(rows) == 1 {
		b := rows[0]
		if b.AGLDecision.String == AGLModified && (!row.answered() || row.AGLDecision.String == AGLEscalated) {
			row.Digest, row.Params, row.AGLDecision = b.Digest, b.Params, b.AGLDecision // its incident hasn't heard of it yet
		}
		if b.Digest != row.Digest || b.IncidentID != row.IncidentID || b.ActionType != row.ActionType {
			return refuse(CodeConflict, "action %s is there already as another one", a.ID)
		}
		if b.answered() && !row.answered() {
			row.AGLDecision = b.AGLDecision
		}
		if !b.ExecutedAt.time().IsZero() {
			row.ExecutedAt = b.ExecutedAt
		}
		row.ProposedAt = b.ProposedAt
		kinds = changes(&b, &row)
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := t.record(now, LeaseHealing, kind, a.ID, row.facts()); err != nil {
			return err
		}
	}
	return nil
}

// answered reports whether governance has said anything yet, if only that a person decides.
func (r *storedAction) answered() bool {
	return r.AGLDecision.Valid && r.AGLDecision.String != AGLPending
}

// changes are the kinds of records that an update of an action is worth.
func changes(before, after *storedAction) []string {
	var kinds []string
	if before.FinishedAt != after.FinishedAt || before.Result != after.Result {
		kinds = append(kinds, "action.result")
	}
	if before.UndoneAt != after.UndoneAt {
		kinds = append(kinds, "action.undone")
	}
	if len(kinds) == 0 && !maps.Equal(before.facts(), after.facts()) {
		kinds = append(kinds, "action.changed")
	}
	return kinds
}
