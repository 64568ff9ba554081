package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
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
	// Rows is how many rows of other tables were compared with the records, Row the first that doesn't hold (Problem says
	// why), "" if all do. Unproven counts signed decisions whose key is not on record any more.
	Rows, Unproven int64
	Row            string
}

// auditBatch is how many records are read at once.
const auditBatch = 1000

// VerifyAudit recomputes the whole chain in one snapshot and names the first record that was changed, or is missing.
// Whoever can rewrite the whole file can rewrite the whole chain: only a head noted elsewhere shows that.
func (s *Store) VerifyAudit(ctx context.Context) (AuditReport, error) { return s.verify(ctx, nil) }

// VerifyRecords is VerifyAudit, and compares then the rows of other tables with what the records and v say of them:
// desired_state, config_history, aliases, alias_history, model_versions, references_, policy_requests, executed_actions;
// policy_decisions with what is signed; incidents and healing_actions but for their documents. The records of an earlier
// version say less of a row; what they say is compared.
func (s *Store) VerifyRecords(ctx context.Context, v Vouch) (AuditReport, error) {
	return s.verify(ctx, &v)
}

func (s *Store) verify(ctx context.Context, v *Vouch) (AuditReport, error) {
	var out AuditReport
	said := newWitness()
	err := s.snapshot(ctx, func(db *gorm.DB) error {
		for {
			var rows []storedAudit
			if err := db.Where("seq > ?", out.Records).Order("seq").Limit(auditBatch).Find(&rows).Error; err != nil {
				return err
			}
			for i := range rows {
				e := rows[i].value()
				if out.check(e); out.Broken > 0 {
					return nil
				}
				if v != nil {
					said.hear(e)
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
		if out.checkHead(marks[0].Value); out.Broken > 0 || v == nil {
			return nil
		}
		return out.rows(db, said, *v)
	})
	return out, readErr("verify the audit", err)
}

// VerifyOf is VerifyRecords on a database that this process has not opened; it only reads, so another process may
// have it open. ErrNotFound where there is none.
func VerifyOf(ctx context.Context, o Options, v Vouch) (_ AuditReport, err error) {
	s, err := o.reader(1)
	if err != nil {
		return AuditReport{}, err
	}
	defer func() { err = errors.Join(err, s.reads.Close()) }()
	return s.VerifyRecords(ctx, v)
}

// reader opens a database for reading only, as it is.
func (o Options) reader(size int) (s *Store, err error) {
	s = &Store{opts: o.withDefaults(), dialect: o.dialect()}
	if s.reads, err = s.readPool(size); err != nil {
		return nil, err
	}
	if s.gorm, err = openGORM(s.dialect, s.reads); err != nil {
		return nil, errors.Join(readErr("open the database", err), s.reads.Close())
	}
	return s, nil
}

// readPool makes a pool of connections that can only read.
func (s *Store) readPool(size int) (*sql.DB, error) {
	if s.opts.URL != "" {
		return s.serverPool(size, map[string]string{"default_transaction_read_only": "on"})
	}
	switch _, err := os.Stat(s.path(databaseFile)); {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.loneLog(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: no database in %s: %w", ErrNotFound, s.opts.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("store: open: %w", err)
	}
	return s.openPool("ro", size)
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
