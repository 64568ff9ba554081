package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"aura/mlops/schema"
)

// The names of store_marks.
const (
	markFloor  = "floor"
	markPurged = "purged"
)

const (
	sqlApplicationBy = "SELECT " + applicationColumns + " FROM applications WHERE "
	sqlDecisionBy    = "SELECT d.id, d.application_id, d.decision, d.probability_of_default, d.reasons, d.model_version, " +
		"d.model_digest, d.champion_generation, d.mode, d.mode_generation, d.rule, d.decided_at, d.latency_us, d.trace_id, " +
		"d.incarnation, a.accepted_at, a.source FROM decisions d LEFT JOIN applications a ON a.id = d.id WHERE d.id = ?"
)

// application reads a row inside the transaction by id or client_id; false if there is none.
func (w *writer) application(column, key string, a *Application) (bool, error) {
	var client sql.NullString
	var accepted int64
	found, err := w.row(sqlApplicationBy+column+" = ?", []any{key},
		&a.ID, &client, &a.Features, &a.BodyDigest, &a.Source, &a.TraceID, &accepted)
	if !found {
		return false, err
	}
	a.ApplicationID = a.ID
	if client.Valid {
		a.ApplicationID = client.String
	}
	a.AcceptedAt = fromMicros(accepted)
	return true, nil
}

// decision reads a row back inside the transaction; false if there is none.
func (w *writer) decision(id string, d *Decision) (bool, error) {
	var p sql.NullFloat64
	var reasons, outcome, mode string
	var decided, latency int64
	var accepted sql.NullInt64
	var source sql.NullString
	found, err := w.row(sqlDecisionBy, []any{id}, &d.ID, &d.ApplicationID, &outcome, &p, &reasons, &d.ModelVersion,
		&d.ModelDigest, &d.Generation, &mode, &d.ModeGeneration, &d.Rule, &decided, &latency, &d.TraceID, &d.Incarnation,
		&accepted, &source)
	if !found {
		return false, err
	}
	d.Decision, d.Mode = schema.Outcome(outcome), Mode(mode)
	if p.Valid {
		d.Probability = &p.Float64
	}
	d.DecidedAt, d.Latency = fromMicros(decided), time.Duration(latency)*time.Microsecond
	d.AcceptedAt, d.Source = fromMicros(accepted.Int64), source.String
	d.Reasons, err = parseReasons(reasons)
	return err == nil, err
}

func parseReasons(text string) ([]schema.Reason, error) {
	out := []schema.Reason{}
	if text == "[]" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("reasons: %w", err)
	}
	return out, nil
}

// generations reads desired state once a transaction.
func (w *writer) generations() (Generations, error) {
	var g Generations
	var mode string
	found, err := w.row("SELECT m.value, m.generation, CAST(c.value AS INTEGER), c.generation FROM desired_state m, "+
		"desired_state c WHERE m.setting = 'mode' AND c.setting = 'champion'", nil,
		&mode, &g.ModeGeneration, &g.Champion, &g.ChampionGeneration)
	if err == nil && !found {
		err = fmt.Errorf("desired state has no mode or no champion")
	}
	g.Mode = Mode(mode)
	return g, err
}

// sqlMemo reads the memo in one row.
const sqlMemo = "SELECT (SELECT COUNT(*) FROM feedback WHERE kind = 'early'), " +
	"COALESCE((SELECT value FROM store_marks WHERE name = '" + markFloor + "'), ''), " +
	"COALESCE((SELECT value FROM store_marks WHERE name = '" + markPurged + "'), ''), " +
	"COALESCE((SELECT value FROM store_marks WHERE name = '" + markAudit + "'), '')"

// remember reads the memo anew.
func (w *writer) remember() error {
	m := memo{known: true, least: w.memo.least}
	var head string
	if _, err := w.row(sqlMemo, nil, &m.early, &m.floor, &m.purged, &head); err != nil {
		return fmt.Errorf("read the marks: %w", err)
	}
	var err error
	if m.audit, err = parseAuditHead(head); err != nil {
		return err
	}
	w.memo = m
	return nil
}

func (w *writer) setMark(name, value string) error {
	return w.exec("INSERT INTO store_marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		name, value)
}
