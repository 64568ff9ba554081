package store

import (
	"database/sql"
	"encoding/json"
)

// The gorm models of incidents and actions, columns as in migrations.

type storedIncident struct {
	IncidentID   string `gorm:"primaryKey"`
	IncidentType string
	Status       string
	State        string
	Fingerprint  string
	Target       string
	OnsetAt      stamp
	DetectedAt   stamp
	ResolvedAt   stamp
	Degraded     bool
	RestoredAt   stamp
	UpdatedAt    stamp `gorm:"autoUpdateTime:false"`
	Version      int64
	Document     string
}

func (storedIncident) TableName() string { return "incidents" }

func incidentOf(r IncidentRow) storedIncident {
	return storedIncident{
		IncidentID: r.ID, IncidentType: r.Type, Status: r.Status, State: r.State, Fingerprint: r.Fingerprint, Target: r.Target,
		OnsetAt: stampOf(r.OnsetAt), DetectedAt: stampOf(r.DetectedAt), ResolvedAt: stampOf(r.ResolvedAt), Degraded: r.Degraded,
		RestoredAt: stampOf(r.RestoredAt), UpdatedAt: stampOf(r.UpdatedAt), Version: r.Version, Document: text(r.Document),
	}
}

func (r *storedIncident) value() IncidentRow {
	return IncidentRow{
		ID: r.IncidentID, Type: r.IncidentType, Status: r.Status, State: r.State, Fingerprint: r.Fingerprint, Target: r.Target,
		OnsetAt: r.OnsetAt.time(), DetectedAt: r.DetectedAt.time(), ResolvedAt: r.ResolvedAt.time(), Degraded: r.Degraded,
		RestoredAt: r.RestoredAt.time(), UpdatedAt: r.UpdatedAt.time(), Version: r.Version, Document: document(r.Document),
	}
}

// facts are what a record says of an incident, and what the row is compared with. Each change of one is recorded.
func (r *storedIncident) facts() map[string]any {
	return map[string]any{
		"type": r.IncidentType, "target": r.Target, "fingerprint": r.Fingerprint, "status": r.Status, "state": r.State,
		"degraded": r.Degraded, "onset_at": r.OnsetAt.String(), "detected_at": r.DetectedAt.String(),
		"resolved_at": r.ResolvedAt.String(), "restored_at": r.RestoredAt.String(),
	}
}

type storedAction struct {
	ActionID    string `gorm:"primaryKey"`
	IncidentID  string
	ActionType  string
	Target      string
	Rung        int
	IsUndo      bool
	Params      string
	Inverse     string
	Digest      string
	AGLDecision sql.NullString `gorm:"column:agl_decision"`
	ProposedAt  stamp
	ExecutedAt  stamp
	FinishedAt  stamp
	UndoneAt    stamp
	Result      string
	Document    string
}

func (storedAction) TableName() string { return "healing_actions" }

func actionOf(r ActionRow) storedAction {
	return storedAction{
		ActionID: r.ID, IncidentID: r.IncidentID, ActionType: r.Type, Target: r.Target, Rung: r.Rung, IsUndo: r.Undo,
		Params: text(r.Params), Inverse: text(r.Inverse), Digest: r.Digest, AGLDecision: verdictOf(r.AGLDecision),
		ProposedAt: stampOf(r.ProposedAt), ExecutedAt: stampOf(r.ExecutedAt), FinishedAt: stampOf(r.FinishedAt),
		UndoneAt: stampOf(r.UndoneAt), Result: r.Result, Document: text(r.Document),
	}
}

func (r *storedAction) value() ActionRow {
	return ActionRow{
		ID: r.ActionID, IncidentID: r.IncidentID, Type: r.ActionType, Target: r.Target, Rung: r.Rung, Undo: r.IsUndo,
		Params: document(r.Params), Inverse: document(r.Inverse), Digest: r.Digest, AGLDecision: r.AGLDecision.String,
		ProposedAt: r.ProposedAt.time(), ExecutedAt: r.ExecutedAt.time(), FinishedAt: r.FinishedAt.time(),
		UndoneAt: r.UndoneAt.time(), Result: r.Result, Document: document(r.Document),
	}
}

// facts are what a record says of an action, and what the row is compared with. Each change of one is recorded: here, or
// with the verdict or the execution that makes it.
func (r *storedAction) facts() map[string]any {
	return map[string]any{
		"incident": r.IncidentID, "type": r.ActionType, "target": r.Target, "rung": r.Rung, "undo": r.IsUndo, "digest": r.Digest,
		"agl": r.AGLDecision.String, "result": r.Result, "proposed_at": r.ProposedAt.String(),
		"finished_at": r.FinishedAt.String(), "undone_at": r.UndoneAt.String(),
	}
}

// verdictOf is NULL where governance gave none.
func verdictOf(agl string) sql.NullString { return sql.NullString{String: agl, Valid: agl != ""} }

// text keeps a document readable as JSON where there is none.
func text(doc json.RawMessage) string {
	if len(doc) == 0 {
		return "null"
	}
	return string(doc)
}

// document is the inverse of text.
func document(text string) json.RawMessage {
	if text == "null" {
		return nil
	}
	return json.RawMessage(text)
}
