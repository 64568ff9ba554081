package store

import (
	"context"
	"fmt"

	"aura/mlops/registry"
)

// modelPart is how much of a model file one row and one write take: a few milliseconds, in which no decision commits. It
// never changes, or the parts of a file that was begun before would not fit those that follow.
const modelPart = 256 << 10

const (
	sqlPartsKept = "SELECT COUNT(*), COALESCE(MAX(parts), 0) FROM model_files WHERE digest = ?"
	sqlSavePart  = "INSERT INTO model_files (digest, part, parts, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

// SaveFile keeps a model file on a server, where processes with other directories find it; the same again does nothing. In a
// directory nothing is kept: the file lies beside its rows, and a second copy on the same disk would only hold up the
// writer. A file that isn't whole yet (the process was killed) is none; the next call completes it.
func (s *Store) SaveFile(ctx context.Context, digest string, data []byte) error {
	if s.dialect.alone() {
		return nil
	}
	if digest == "" || len(data) == 0 {
		return refuse(CodeInvalid, "a model file needs its digest and content")
	}
	parts := (len(data) + modelPart - 1) / modelPart
	whole, err := write(ctx, s, func(t *tx) (bool, error) {
		var kept, of int
		_, err := t.w.row(sqlPartsKept, []any{digest}, &kept, &of)
		return kept > 0 && kept == of, err
	})
	if err != nil || whole {
		return err
	}
	for i := range parts {
		part := data[i*modelPart : min((i+1)*modelPart, len(data))]
		if err := s.w.do(ctx, func(t *tx) error { return t.w.exec(sqlSavePart, digest, i, parts, part) }); err != nil {
			return fmt.Errorf("store: keep a model file: %w", err)
		}
	}
	return nil
}

type storedModelPart struct {
	Digest string `gorm:"primaryKey"`
	Part   int    `gorm:"primaryKey"`
	Parts  int
	Data   []byte
}

func (storedModelPart) TableName() string { return "model_files" }

// File returns a model file that SaveFile has kept whole; registry.ErrNotFound. Who reads it compares it with its digest.
func (s *Store) File(ctx context.Context, digest string) ([]byte, error) {
	var rows []storedModelPart
	if err := s.read(ctx).Where("digest = ?", digest).Order("part").Find(&rows).Error; err != nil {
		return nil, readErr("read a model file", err)
	}
	if len(rows) == 0 || len(rows) != rows[0].Parts {
		return nil, registry.ErrNotFound
	}
	var out []byte
	for _, r := range rows {
		out = append(out, r.Data...)
	}
	return out, nil
}

// Unsaved returns the versions that an earlier program made, whose files are not on the server.
func (s *Store) Unsaved(ctx context.Context) ([]registry.Version, error) {
	if s.dialect.alone() {
		return nil, nil
	}
	var rows []storedVersion
	whole := s.read(ctx).Model(&storedModelPart{}).Select("digest").Group("digest").Having("COUNT(*) = MAX(parts)")
	if err := s.read(ctx).Where("digest NOT IN (?)", whole).Order("number").Find(&rows).Error; err != nil {
		return nil, readErr("look for versions without a file", err)
	}
	return versionsOf(rows)
}
