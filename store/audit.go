package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// AuditEntry is one record of the audit: who changed what. Seq, Prev and Hash are the store's.
type AuditEntry struct {
	Seq int64
	// At is now where it is zero.
	At    time.Time
	Actor string
	// Kind is what happened, as setting.changed, action.executed, policy.approved.
	Kind string
	// Subject is what it happened to: a setting, an incident's or action's id.
	Subject string
	// Detail is a JSON object, kept byte for byte.
	Detail json.RawMessage
	// Prev and Hash are SHA-256 in hex; Hash is over Prev and this record.
	Prev, Hash string
}

// markAudit is the mark that holds the last record's seq and hash, so that a cut tail shows.
const markAudit = "audit"

// auditHead is the end of the chain.
type auditHead struct {
	seq  int64
	hash string
}

func (h auditHead) String() string { return strconv.FormatInt(h.seq, 10) + ":" + h.hash }

func parseAuditHead(text string) (auditHead, error) {
	if text == "" {
		return auditHead{}, nil
	}
	seq, hash, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil {
		return auditHead{}, fmt.Errorf("the audit's head %q is not seq:hash", text)
	}
	return auditHead{n, hash}, nil
}

// digest is the hash of a record: SHA-256 over each field after its length, so that no two records have the same bytes.
func (e *AuditEntry) digest() string {
	h := sha256.New()
	var n [8]byte
	for _, field := range [...]string{
		e.Prev, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(micros(e.At), 10), e.Actor, e.Kind, e.Subject, string(e.Detail),
	} {
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// audit appends records to the chain inside the transaction.
func (t *tx) audit(entries ...AuditEntry) error {
	head := &t.w.memo.audit
	for _, e := range entries {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		if len(e.Detail) == 0 {
			e.Detail = json.RawMessage("{}")
		}
		e.At = fromMicros(micros(e.At))
		e.Seq, e.Prev = head.seq+1, head.hash
		e.Hash = e.digest()
		err := t.w.exec("INSERT INTO audit (seq, at, actor, kind, subject, detail, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			e.Seq, micros(e.At), e.Actor, e.Kind, e.Subject, string(e.Detail), e.Prev, e.Hash)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		*head = auditHead{e.Seq, e.Hash}
	}
	if len(entries) == 0 {
		return nil
	}
	return t.w.setMark(markAudit, head.String())
}

// record appends one record whose detail is made of v.
func (t *tx) record(at time.Time, actor, kind, subject string, v any) error {
	detail, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("audit %s: %w", kind, err)
	}
	return t.audit(AuditEntry{At: at, Actor: actor, Kind: kind, Subject: subject, Detail: detail})
}

// AppendAudit records what is no change of the store's own: those are recorded in their transaction.
func (s *Store) AppendAudit(ctx context.Context, entries ...AuditEntry) error {
	entries = append([]AuditEntry(nil), entries...)
	return s.w.do(ctx, func(t *tx) error { return t.audit(entries...) })
}

// AuditFilter selects records; empty fields select all.
type AuditFilter struct{ Subject, Kind, Actor string }

type storedAudit struct {
	Seq                                      int64 `gorm:"primaryKey"`
	At                                       int64
	Actor, Kind, Subject, Detail, Prev, Hash string
}

func (storedAudit) TableName() string { return "audit" }

func (r *storedAudit) value() AuditEntry {
	return AuditEntry{
		Seq: r.Seq, At: fromMicros(r.At), Actor: r.Actor, Kind: r.Kind, Subject: r.Subject, Detail: json.RawMessage(r.Detail),
		Prev: r.Prev, Hash: r.Hash,
	}
}

// Audit returns records, latest first, below the seq before unless that is 0.
func (s *Store) Audit(ctx context.Context, f AuditFilter, before int64, limit int) ([]AuditEntry, error) {
	db := s.read(ctx).Order("seq DESC").Limit(limit).Where(&storedAudit{Subject: f.Subject, Kind: f.Kind, Actor: f.Actor})
	if before > 0 {
		db = db.Where("seq < ?", before)
	}
	var rows []storedAudit
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read the audit", err)
	}
	out := make([]AuditEntry, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}
