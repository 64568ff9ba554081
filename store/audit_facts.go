package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"gorm.io/gorm"
)

// rowDigest is the SHA-256 of a whole row, which a record keeps. A column that is added later must stay out of it
// (json:"-"), or rows of before don't hold any more.
func rowDigest(row any) string {
	raw, err := json.Marshal(row)
	if err != nil {
		panic("store: a row of plain values doesn't marshal: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// wholeRow is the field of a rowDigest. What differs is named by its own field where the record has that too.
const wholeRow = "row"

// has reports whether a record says anything of a field; those of earlier versions say less.
func (e AuditEntry) has(field string) bool {
	var said map[string]json.RawMessage
	return json.Unmarshal(e.Detail, &said) == nil && said[field] != nil
}

// agrees compares a row with the record about it, in what the record says, and takes the record away.
func (r *AuditReport) agrees(table, id string, about entries, facts map[string]any) {
	r.Rows++
	e, found := about[id]
	delete(about, id)
	var said map[string]json.RawMessage
	if !found || json.Unmarshal(e.Detail, &said) != nil {
		r.fails(table, id, "the audit has no record of it")
		return
	}
	whole := true
	for _, field := range slices.Sorted(maps.Keys(facts)) {
		is, err := json.Marshal(facts[field])
		was, told := said[field]
		if !told || err == nil && bytes.Equal(is, was) {
			continue
		}
		if whole = whole && field != wholeRow; field != wholeRow {
			r.fails(table, id, "its %s is %s; the last record of it, %d, says %s", field, is, e.Seq, was)
		}
	}
	if !whole {
		r.fails(table, id, "it is not the row that record %d is about", e.Seq)
	}
}

// nothingLeft names a row that is recorded and not there.
func (r *AuditReport) nothingLeft(table string, about entries) {
	for _, id := range slices.Sorted(maps.Keys(about)) {
		r.fails(table, id, "it is missing: record %d of the audit is about it", about[id].Seq)
	}
}

// by fails a row that names somebody else than its record.
func (r *AuditReport) by(table, id, name string, e AuditEntry) {
	if e.Seq > 0 && e.Actor != name {
		r.fails(table, id, "it is by %s; record %d says by %s", name, e.Seq, e.Actor)
	}
}

func (r *AuditReport) requestRows(db *gorm.DB, w *witness, _ Vouch) error {
	var rows []storedRequest
	err := db.Order("request_id").Find(&rows).Error
	for _, q := range rows {
		r.by("policy_requests", q.RequestID, q.Proposer, w.requests[q.RequestID])
		r.agrees("policy_requests", q.RequestID, w.requests, map[string]any{
			"incident": q.IncidentID, "action": q.ActionID, "type": q.ActionType, "target": q.Target, "digest": q.Digest, wholeRow: q.digest(),
		})
		if said := w.statuses[q.RequestID]; said != q.Status {
			r.fails("policy_requests", q.RequestID, "it is %s; the last record of it says %s", q.Status, said)
		}
	}
	r.nothingLeft("policy_requests", w.requests)
	return err
}

// effectRows compares what actions did. The record is the very same text.
func (r *AuditReport) effectRows(db *gorm.DB, w *witness, _ Vouch) error {
	var rows []struct {
		ActionID, Effect string
		At               int64
	}
	err := db.Table("executed_actions").Select("action_id", "effect", "at").Order("action_id").Find(&rows).Error
	for _, a := range rows {
		r.Rows++
		e, found := w.executed[a.ActionID]
		delete(w.executed, a.ActionID)
		if !found || a.Effect != string(e.Detail) || a.At != micros(e.At) {
			r.fails("executed_actions", a.ActionID, "the audit has no such effect of it")
		}
	}
	r.nothingLeft("executed_actions", w.executed)
	return err
}

// aliasRows compares the history of the aliases with its records, one by one, and the aliases with the last of each.
func (r *AuditReport) aliasRows(db *gorm.DB, w *witness, _ Vouch) error {
	var history []storedAliasChange
	if err := db.Order("id").Find(&history).Error; err != nil {
		return err
	}
	now := entries{}
	for i, h := range history {
		id := strconv.FormatInt(h.ID, 10)
		if i >= len(w.aliases) {
			r.fails("alias_history", id, "the audit has no record of it")
			break
		}
		e := w.aliases[i]
		if h.Alias != e.Subject || h.ChangedAt != micros(e.At) {
			r.fails("alias_history", id, "it is about %s at %s; record %d is about %s at %s", h.Alias, stamp(fromMicros(h.ChangedAt)), e.Seq,
				e.Subject, stamp(e.At))
		}
		r.by("alias_history", id, h.ChangedBy, e)
		r.agrees("alias_history", id, entries{id: e}, map[string]any{
			"version": h.Version, "previous": h.Previous, "reason": h.Reason, "generation": h.Generation,
		})
		if now[h.Alias] = e; h.Version == 0 {
			delete(now, h.Alias)
		}
	}
	if n := len(history); n < len(w.aliases) {
		r.fails("alias_history", "after "+strconv.Itoa(n), "it is missing: record %d of the audit is about it", w.aliases[n].Seq)
	}
	var rows []storedAlias
	err := db.Order("alias").Find(&rows).Error
	for _, a := range rows {
		r.agrees("aliases", a.Alias, now, map[string]any{"version": a.Version})
	}
	r.nothingLeft("aliases", now)
	return err
}

func (r *AuditReport) versionRows(db *gorm.DB, w *witness, _ Vouch) error {
	var rows []storedVersion
	err := db.Order("number").Find(&rows).Error
	for _, v := range rows {
		id := strconv.Itoa(v.Number)
		r.by("model_versions", id, v.CreatedBy, w.versions[id])
		r.agrees("model_versions", id, w.versions, map[string]any{
			"digest": v.Digest, "schema": v.SchemaDigest, "note": v.Note, wholeRow: rowDigest(v),
		})
	}
	r.nothingLeft("model_versions", w.versions)
	return err
}

func (r *AuditReport) referenceRows(db *gorm.DB, w *witness, _ Vouch) error {
	var rows []storedReference
	err := db.Order("id").Find(&rows).Error
	for _, ref := range rows {
		facts := map[string]any{"model_version": ref.ModelVersion, "rows": ref.Rows, wholeRow: rowDigest(ref)}
		r.agrees("references_", ref.ID, w.references, facts)
	}
	r.nothingLeft("references_", w.references)
	return err
}
