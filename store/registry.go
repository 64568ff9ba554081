package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"aura/mlops/registry"
)

// Store keeps the rows of the model registry.
var _ registry.Repository = (*Store)(nil)

type storedVersion struct {
	Number       int `gorm:"primaryKey;autoIncrement:false"`
	Digest       string
	SchemaDigest string
	SchemaName   string
	Metrics      string
	WindowFrom   int64
	WindowTo     int64
	WindowRows   int
	Seed         string // all 64 bits; an INTEGER column is signed
	File         string
	Note         string
	CreatedBy    string
	CreatedAt    int64 `gorm:"autoCreateTime:false"`
}

func (storedVersion) TableName() string { return "model_versions" }

func (r *storedVersion) value() (registry.Version, error) {
	v := registry.Version{
		Number: r.Number, Digest: r.Digest, SchemaDigest: r.SchemaDigest, SchemaName: r.SchemaName, File: r.File, Note: r.Note,
		Window:    registry.Window{From: fromMicros(r.WindowFrom), To: fromMicros(r.WindowTo), Rows: r.WindowRows},
		CreatedBy: r.CreatedBy, CreatedAt: fromMicros(r.CreatedAt),
	}
	var err error
	if v.Seed, err = strconv.ParseUint(r.Seed, 10, 64); err != nil {
		return v, fmt.Errorf("store: version %d: seed: %w", r.Number, err)
	}
	if err := json.Unmarshal([]byte(r.Metrics), &v.Metrics); err != nil {
		return v, fmt.Errorf("store: version %d: metrics: %w", r.Number, err)
	}
	return v, nil
}

type storedAlias struct {
	Alias   string `gorm:"primaryKey"`
	Version int
}

func (storedAlias) TableName() string { return "aliases" }

type storedAliasChange struct {
	ID         int64 `gorm:"primaryKey"`
	Alias      string
	Version    int
	Previous   int
	Generation int64
	ChangedBy  string
	Reason     string
	ChangedAt  int64
}

func (storedAliasChange) TableName() string { return "alias_history" }

// CreateVersion inserts v under its number; registry.ErrTaken if that exists.
func (s *Store) CreateVersion(ctx context.Context, v registry.Version) (registry.Version, error) {
	metrics, err := json.Marshal(v.Metrics)
	if err != nil {
		return registry.Version{}, fmt.Errorf("store: metrics of version %d: %w", v.Number, err)
	}
	if v.Number <= 0 {
		return registry.Version{}, refuse(CodeInvalid, "version number %d is not positive", v.Number)
	}
	row := storedVersion{
		Number: v.Number, Digest: v.Digest, SchemaDigest: v.SchemaDigest, SchemaName: v.SchemaName, Metrics: string(metrics),
		WindowFrom: micros(v.Window.From), WindowTo: micros(v.Window.To), WindowRows: v.Window.Rows,
		Seed: strconv.FormatUint(v.Seed, 10), File: v.File, Note: v.Note, CreatedBy: v.CreatedBy, CreatedAt: micros(v.CreatedAt),
	}
	taken, err := write(ctx, s, func(t *tx) (bool, error) {
		r := t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error == nil, r.Error
		}
		return false, t.record(time.Now(), v.CreatedBy, "model.registered", strconv.Itoa(v.Number), map[string]any{
			"digest": v.Digest, "schema": v.SchemaDigest, "note": v.Note, "row": rowDigest(row),
		})
	})
	if err != nil {
		return registry.Version{}, fmt.Errorf("store: create version %d: %w", v.Number, err)
	}
	if taken {
		return registry.Version{}, registry.ErrTaken
	}
	return s.Version(ctx, v.Number)
}

// Version returns one version; registry.ErrNotFound.
func (s *Store) Version(ctx context.Context, number int) (registry.Version, error) {
	var row storedVersion
	err := s.read(ctx).Where("number = ?", number).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return registry.Version{}, registry.ErrNotFound
	}
	if err != nil {
		return registry.Version{}, readErr("read a version", err)
	}
	return row.value()
}

// Versions returns versions, newest first, below before unless that is 0.
func (s *Store) Versions(ctx context.Context, limit, before int) ([]registry.Version, error) {
	db := s.read(ctx).Order("number DESC").Limit(limit)
	if before > 0 {
		db = db.Where("number < ?", before)
	}
	var rows []storedVersion
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read versions", err)
	}
	return versionsOf(rows)
}

func versionsOf(rows []storedVersion) ([]registry.Version, error) {
	out := make([]registry.Version, len(rows))
	for i := range rows {
		v, err := rows[i].value()
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// Aliases returns the version that each alias names.
func (s *Store) Aliases(ctx context.Context) (map[string]int, error) {
	return readAliases(s.read(ctx))
}

func readAliases(db *gorm.DB) (map[string]int, error) {
	var rows []storedAlias
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read aliases", err)
	}
	out := make(map[string]int, len(rows))
	for _, r := range rows {
		out[r.Alias] = r.Version
	}
	return out, nil
}

// SetAliases moves aliases (0 removes one) in one transaction, with a line of history each. Where the champion moves, its
// generation in desired state is raised: once this has returned, no decision of the champion before commits. An alias
// that names the version already is left alone. registry.ErrMoved unless all aliases are as seen, where that isn't nil;
// *Refused for a version that doesn't exist.
func (s *Store) SetAliases(ctx context.Context, changes, seen map[string]int, by, reason string) (int64, error) {
	changes, seen = maps.Clone(changes), maps.Clone(seen)
	moved, err := write(ctx, s, func(t *tx) (aliasMove, error) {
		current, err := readAliases(t.db)
		if err != nil {
			return aliasMove{}, err
		}
		if seen != nil && !maps.Equal(current, seen) {
			return aliasMove{elsewhere: true}, nil
		}
		return t.setAliases(changes, Change{By: by, Reason: reason, Person: true}, time.Now())
	})
	if err != nil {
		return 0, fmt.Errorf("store: set aliases: %w", err)
	}
	if moved.elsewhere {
		return 0, registry.ErrMoved
	}
	return moved.generation, nil
}

// aliasMove is what a change of aliases did to desired state.
type aliasMove struct {
	generation int64        // the champion's, now
	champion   ConfigChange // ID 0 if it didn't move
	elsewhere  bool         // nothing was done: the aliases weren't as seen
}

// setAliases moves aliases on behalf of who is in c.
func (t *tx) setAliases(changes map[string]int, c Change, now time.Time) (aliasMove, error) {
	var out aliasMove
	current, err := readAliases(t.db)
	if err != nil {
		return out, err
	}
	g, err := t.w.generations()
	if err != nil {
		return out, err
	}
	out.generation = g.ChampionGeneration
	if v, ok := changes[registry.Champion]; ok && v != current[registry.Champion] {
		c.Setting, c.Value = SettingChampion, strconv.Itoa(v)
		if out.champion, err = t.set(c, now); err != nil {
			return out, err
		}
		out.generation = out.champion.Generation
	}
	for _, alias := range slices.Sorted(maps.Keys(changes)) {
		version, before := changes[alias], current[alias]
		if version == before {
			continue
		}
		if err := t.moveAlias(alias, version); err != nil {
			return out, err
		}
		row := storedAliasChange{
			Alias: alias, Version: version, Previous: before, Generation: out.generation, ChangedBy: c.By, Reason: c.Reason,
			ChangedAt: micros(now),
		}
		if err := t.db.Create(&row).Error; err != nil {
			return out, err
		}
		err := t.record(now, c.By, "alias.moved", alias, map[string]any{
			"version": version, "previous": before, "reason": c.Reason, "action": c.action, "generation": out.generation,
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (t *tx) moveAlias(alias string, version int) error {
	if version == 0 {
		return t.db.Where("alias = ?", alias).Delete(&storedAlias{}).Error
	}
	var n int64
	if err := t.db.Model(&storedVersion{}).Where("number = ?", version).Count(&n).Error; err != nil {
		return err
	}
	if n == 0 {
		return refuse(CodeUnknownVersion, "there is no version %d to be %s", version, alias)
	}
	return t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&storedAlias{Alias: alias, Version: version}).Error
}

// AliasHistory returns changes of aliases, newest first.
func (s *Store) AliasHistory(ctx context.Context, limit int) ([]registry.AliasChange, error) {
	var rows []storedAliasChange
	if err := s.read(ctx).Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, readErr("read the history of aliases", err)
	}
	out := make([]registry.AliasChange, len(rows))
	for i, r := range rows {
		out[i] = registry.AliasChange{
			Alias: r.Alias, Version: r.Version, Previous: r.Previous, Generation: r.Generation, By: r.ChangedBy, Reason: r.Reason,
			At: fromMicros(r.ChangedAt),
		}
	}
	return out, nil
}
