package store

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm/clause"
)

// Reference is a sample that monitoring compares with.
type Reference struct {
	ID           string
	MadeAt       time.Time
	ModelVersion int
	Rows         int
	// Document is the detector's own form of it; empty in lists.
	Document json.RawMessage
	By       string
	Reason   string
}

type storedReference struct {
	ID           string `gorm:"primaryKey"`
	MadeAt       int64
	ModelVersion int
	Rows         int
	Document     string
	MadeBy       string
	Reason       string
}

func (storedReference) TableName() string { return "references_" }

func (r *storedReference) value() Reference {
	return Reference{r.ID, fromMicros(r.MadeAt), r.ModelVersion, r.Rows, document(r.Document), r.MadeBy, r.Reason}
}

// PutReference keeps a reference; but for GrowReference one never changes. The same again does nothing; *Refused conflict for other content.
func (s *Store) PutReference(ctx context.Context, r Reference) error {
	if r.ID == "" || r.Rows <= 0 || len(r.Document) == 0 {
		return refuse(CodeInvalid, "a reference needs an id, rows and a document")
	}
	return s.w.do(ctx, func(t *tx) error {
		now := time.Now()
		if r.MadeAt.IsZero() {
			r.MadeAt = now
		}
		row := storedReference{r.ID, micros(r.MadeAt), r.ModelVersion, r.Rows, text(r.Document), r.By, r.Reason}
		res := t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if res.Error != nil {
			return res.Error
		}
		if res.RowsAffected == 1 {
			return t.record(now, r.By, "reference.made", r.ID, map[string]any{
				"model_version": r.ModelVersion, "rows": r.Rows, "reason": r.Reason, "row": rowDigest(row),
			})
		}
		var there storedReference
		if err := t.db.Where("id = ?", r.ID).Take(&there).Error; err != nil {
			return err
		}
		if there.Document != row.Document {
			return refuse(CodeConflict, "reference %s is there already with other content", r.ID)
		}
		return nil
	})
}

// GrowReference replaces the document of a reference of from rows by that of the same reference with more rows. *Refused
// conflict where it doesn't have from rows any more: somebody else was quicker.
func (s *Store) GrowReference(ctx context.Context, r Reference, from int) error {
	if r.ID == "" || r.Rows <= from || len(r.Document) == 0 {
		return refuse(CodeInvalid, "a reference grows by its id, a document and more rows")
	}
	return s.w.do(ctx, func(t *tx) error {
		var there []storedReference
		if err := t.db.Where("id = ? AND rows = ?", r.ID, from).Limit(1).Find(&there).Error; err != nil {
			return err
		}
		if len(there) == 0 {
			return refuse(CodeConflict, "reference %s doesn't have %d rows", r.ID, from)
		}
		row := there[0]
		row.Document, row.Rows = text(r.Document), r.Rows
		if err := t.db.Save(&row).Error; err != nil {
			return err
		}
		return t.record(time.Now(), r.By, "reference.grown", r.ID, map[string]any{
			"from": from, "rows": r.Rows, "reason": r.Reason, "row": rowDigest(row),
		})
	})
}

// Reference returns one reference; ErrNotFound.
func (s *Store) Reference(ctx context.Context, id string) (Reference, error) {
	var row storedReference
	if err := s.read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return Reference{}, readErr("read a reference", err)
	}
	return row.value(), nil
}

// References returns references without their documents, latest first.
func (s *Store) References(ctx context.Context, limit int) ([]Reference, error) {
	var rows []storedReference
	err := s.read(ctx).Omit("document").Order("made_at DESC, id DESC").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, readErr("read references", err)
	}
	out := make([]Reference, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
		out[i].Document = nil
	}
	return out, nil
}

// knowsReference refuses an id that is no reference's; "" means none.
func (t *tx) knowsReference(id string) error {
	if id == "" {
		return nil
	}
	var one int
	found, err := t.w.row("SELECT 1 FROM references_ WHERE id = ?", []any{id}, &one)
	if err == nil && !found {
		return refuse(CodeUnknownReference, "there is no reference %s", id)
	}
	return err
}
