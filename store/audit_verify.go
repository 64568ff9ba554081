package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"gorm.io/gorm"
)

// AuditReport is what a verification of the audit found.
type AuditReport struct {
	// Records is how many hold, from the first.
	Records int64
	// Broken is the seq of the first record that doesn't, 0 if all hold; Problem says why.
	Broken  int64
	Problem string
	// Head is the last record's hash. Noted elsewhere, it proves later that nothing up to here was rewritten.
	Head string
}

// auditBatch is how many records are read at once.
const auditBatch = 1000

// VerifyAudit recomputes the whole chain in one snapshot and names the first record that was changed, or is missing.
// Whoever can rewrite the whole file can rewrite the whole chain: only a head noted elsewhere shows that.
func (s *Store) VerifyAudit(ctx context.Context) (AuditReport, error) {
	var out AuditReport
	err := s.read(ctx).Transaction(func(db *gorm.DB) error {
		for {
			var rows []storedAudit
			if err := db.Where("seq > ?", out.Records).Order("seq").Limit(auditBatch).Find(&rows).Error; err != nil {
				return err
			}
			for i := range rows {
				if out.check(rows[i].value()); out.Broken > 0 {
					return nil
				}
			}
			if len(rows) < auditBatch {
				break
			}
		}
		var marks []storedMark
		if err := db.Where("name = ?", markAudit).Find(&marks).Error; err != nil {
			return err
		}
		if len(marks) == 0 {
			marks = append(marks, storedMark{})
		}
		out.checkHead(marks[0].Value)
		return nil
	})
	return out, readErr("verify the audit", err)
}

// VerifyAuditDir is VerifyAudit on a data directory that this process has not opened; it only reads, so another process
// may have the directory open. ErrNotFound where there is no database.
func VerifyAuditDir(ctx context.Context, dir string) (_ AuditReport, err error) {
	s := Store{opts: Options{Dir: dir, Readers: 1}.withDefaults()}
	if _, err := os.Stat(s.path(databaseFile)); err != nil {
		return AuditReport{}, fmt.Errorf("%w: no database in %s: %w", ErrNotFound, dir, err)
	}
	if s.reads, err = s.openPool("ro", 1); err != nil {
		return AuditReport{}, err
	}
	defer func() { err = errors.Join(err, s.reads.Close()) }()
	if s.gorm, err = openGORM(s.reads); err != nil {
		return AuditReport{}, readErr("open the audit", err)
	}
	return s.VerifyAudit(ctx)
}

// check takes the next record in.
func (r *AuditReport) check(e AuditEntry) {
	next := r.Records + 1
	switch {
	case e.Seq != next:
		r.Broken, r.Problem = next, fmt.Sprintf("record %d is missing", next)
	case e.Prev != r.Head:
		r.Broken, r.Problem = next, fmt.Sprintf("record %d doesn't follow record %d", next, r.Records)
	case e.Hash != e.digest():
		r.Broken, r.Problem = next, fmt.Sprintf("record %d was changed", next)
	default:
		r.Records, r.Head = next, e.Hash
	}
}

// checkHead compares the end of the chain with the mark.
func (r *AuditReport) checkHead(mark string) {
	head, err := parseAuditHead(mark)
	switch {
	case err != nil:
		r.Broken, r.Problem = r.Records+1, err.Error()
	case head.seq > r.Records:
		r.Broken, r.Problem = r.Records+1, fmt.Sprintf("record %d and what followed up to %d are missing", r.Records+1, head.seq)
	case head.seq < r.Records:
		r.Broken, r.Problem = head.seq+1, fmt.Sprintf("record %d was not written by the store", head.seq+1)
	case head.hash != r.Head:
		r.Broken, r.Problem = r.Records, fmt.Sprintf("record %d is not the one that was written", r.Records)
	}
}
