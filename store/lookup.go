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
	decisionFields   = "d.id, d.application_id, d.decision, d.probability_of_default, d.reasons, d.model_version, " +
		"d.model_digest, d.champion_generation, d.mode, d.mode_generation, d.rule, d.decided_at, d.latency_us, d.trace_id, " +
		"d.incarnation, a.accepted_at, a.source"
	sqlDecisionBy = "SELECT " + decisionFields + " FROM decisions d LEFT JOIN applications a ON a.id = d.id WHERE d.id = ?"
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
	var r scannedDecision
	if found, err := w.row(sqlDecisionBy, []any{id}, r.fields()...); !found {
		return false, err
	}
	return r.read(d)
}

// scannedDecision is a row of decisionFields. All of it may be null, as where the decision is what an outer join did not find.
type scannedDecision struct {
	id, application, decision, reasons, digest, mode, rule, trace, source     sql.NullString
	version, generation, modeGeneration, decided, latency, incarnation, since sql.NullInt64
	probability                                                               sql.NullFloat64
}

func (r *scannedDecision) fields() []any {
	return []any{
		&r.id, &r.application, &r.decision, &r.probability, &r.reasons, &r.version, &r.digest, &r.generation, &r.mode,
		&r.modeGeneration, &r.rule, &r.decided, &r.latency, &r.trace, &r.incarnation, &r.since, &r.source,
	}
}

// read is the decision of the row; false if there is none.
func (r *scannedDecision) read(d *Decision) (bool, error) {
	if !r.id.Valid {
		return false, nil
	}
	reasons, err := parseReasons(r.reasons.String)
	*d = Decision{
		ID: r.id.String, ApplicationID: r.application.String, AcceptedAt: fromMicros(r.since.Int64), Source: r.source.String,
		TraceID: r.trace.String, Decision: schema.Outcome(r.decision.String), Reasons: reasons,
		ModelVersion: int(r.version.Int64), ModelDigest: r.digest.String, Generation: r.generation.Int64,
		Mode: Mode(r.mode.String), ModeGeneration: r.modeGeneration.Int64, Rule: r.rule.String,
		DecidedAt: fromMicros(r.decided.Int64), Latency: time.Duration(r.latency.Int64) * time.Microsecond,
		Incarnation: r.incarnation.Int64,
	}
	if r.probability.Valid {
		d.Probability = &r.probability.Float64
	}
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
