package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm/clause"
)

// The settings of desired state that every store has. Agents' least incarnations are at AgentSetting.
const (
	SettingMode      = "mode"
	SettingChampion  = "champion"
	SettingReference = "reference"
)

// sqlDesired goes past gorm, prepared: the healing loop asks ten times a second.
const sqlDesired = "SELECT setting, value, generation, owner, reason, held_by, changed_at, " +
	"(SELECT COALESCE(MAX(id), 0) FROM config_history) FROM desired_state"

// Desired reads desired state with its era, all of one instant.
func (s *Store) Desired(ctx context.Context) (State, error) {
	out, err := s.readDesired(ctx)
	if err != nil {
		return State{}, readErr("read desired state", err)
	}
	out.ModeSetting, out.ChampionSetting = out.Settings[SettingMode], out.Settings[SettingChampion]
	out.Mode, out.ModeGeneration = Mode(out.ModeSetting.Value), out.ModeSetting.Generation
	out.Reference, out.ReferenceGeneration = out.Settings[SettingReference].Value, out.Settings[SettingReference].Generation
	out.ChampionGeneration = out.ChampionSetting.Generation
	if v, ok := out.Settings[SettingChampion]; ok {
		if out.Champion, err = strconv.Atoi(v.Value); err != nil {
			return State{}, fmt.Errorf("store: champion: %w", err)
		}
	}
	return out, nil
}

func (s *Store) readDesired(ctx context.Context) (out State, err error) {
	rows, err := s.desired.QueryContext(ctx)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out.Settings = map[string]Setting{}
	for rows.Next() {
		var r storedSetting
		err := rows.Scan(&r.Setting, &r.Value, &r.Generation, &r.Owner, &r.Reason, &r.HeldBy, &r.ChangedAt, &out.Era)
		if err != nil {
			return out, err
		}
		out.Settings[r.Setting] = r.value()
	}
	return out, rows.Err()
}

// Settings reads all of desired state.
func (s *Store) Settings(ctx context.Context) ([]Setting, error) {
	var rows []storedSetting
	if err := s.read(ctx).Order("setting").Find(&rows).Error; err != nil {
		return nil, readErr("read desired state", err)
	}
	out := make([]Setting, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}

// SetMode is a person's change of mode. Safe mode set by hand is held: automation doesn't end it; setting MODEL by hand
// gives it back. Once it has returned, no decision of another mode commits. It returns the mode's generation, which stays
// where the mode was that already.
func (s *Store) SetMode(ctx context.Context, m Mode, by, reason string) (int64, error) {
	v, err := s.Set(ctx, Change{
		Setting: SettingMode, Value: string(m), By: by, Reason: reason, Person: true, Hold: m == ModeSafe,
	})
	return v.Generation, err
}

// Set changes one row of desired state and records it. A new value gets the next generation; the same value keeps it and
// changes owner, reason and hold only. The champion is changed by SetAliases. *Refused: held by a person, not what it was, or no value.
func (s *Store) Set(ctx context.Context, c Change) (Setting, error) {
	if c.Setting == SettingMode && c.Value != string(ModeModel) && c.Value != string(ModeSafe) {
		return Setting{}, refuse(CodeInvalid, "no mode %q", c.Value)
	}
	if c.Setting == "" || c.Setting == SettingChampion {
		return Setting{}, refuse(CodeInvalid, "setting %q can't be set like this", c.Setting)
	}
	return write(ctx, s, func(t *tx) (Setting, error) {
		changed, err := t.set(c, time.Now())
		return changed.Setting, err
	})
}

// Hold keeps automation away from a setting whatever its value (a pinned champion), or gives it back.
func (s *Store) Hold(ctx context.Context, setting string, hold bool, by, reason string) (Setting, error) {
	return write(ctx, s, func(t *tx) (Setting, error) {
		row, err := t.setting(setting)
		if err != nil {
			return Setting{}, err
		}
		if row.Owner == "" {
			return Setting{}, ErrNotFound
		}
		c := Change{Setting: setting, Value: row.Value, By: by, Reason: reason, Person: true, Hold: hold}
		changed, err := t.set(c, time.Now())
		return changed.Setting, err
	})
}

// setting reads a row, or an empty one.
func (t *tx) setting(name string) (storedSetting, error) {
	var rows []storedSetting
	err := t.db.Where("setting = ?", name).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return storedSetting{Setting: name}, err
	}
	return rows[0], nil
}

// set changes a row with a line of its history and of the audit.
func (t *tx) set(c Change, at time.Time) (ConfigChange, error) {
	row, err := t.setting(c.Setting)
	if err != nil {
		return ConfigChange{}, err
	}
	if row.HeldBy != "" && !c.Person {
		return ConfigChange{}, refuse(CodeHeld, "%s is held by %s: %s", c.Setting, row.HeldBy, row.Reason)
	}
	if c.Was != nil && *c.Was != row.Value {
		return ConfigChange{}, refuse(CodeConflict, "%s is %q since %s by %s", c.Setting, row.Value, fromMicros(row.ChangedAt).Format(time.RFC3339), row.Owner)
	}
	if c.Setting == SettingReference {
		if err := t.knowsReference(c.Value); err != nil {
			return ConfigChange{}, err
		}
	}
	previous := row.Value
	if row.Value != c.Value || row.Generation == 0 {
		row.Generation++
	}
	row.Value, row.Owner, row.Reason, row.HeldBy, row.ChangedAt = c.Value, c.By, c.Reason, "", micros(at)
	if c.Hold {
		row.HeldBy = c.By
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return ConfigChange{}, err
	}
	history := storedConfigChange{
		Setting: row.Setting, Value: row.Value, Previous: previous, Generation: row.Generation, Owner: row.Owner,
		Reason: row.Reason, HeldBy: row.HeldBy, ChangedAt: row.ChangedAt, Person: c.Person, ActionID: c.action,
	}
	if err := t.db.Create(&history).Error; err != nil {
		return ConfigChange{}, err
	}
	return history.value(), t.record(at, c.By, "setting.changed", c.Setting, map[string]any{
		"value": row.Value, "previous": previous, "generation": row.Generation, "change": history.ID, "reason": row.Reason,
		"held_by": row.HeldBy, "person": c.Person, "action": c.action,
	})
}

// ConfigHistory returns changes of desired state, latest first, below the id before unless that is 0.
func (s *Store) ConfigHistory(ctx context.Context, limit int, before int64) ([]ConfigChange, error) {
	db := s.read(ctx).Order("id DESC").Limit(limit)
	if before > 0 {
		db = db.Where("id < ?", before)
	}
	var rows []storedConfigChange
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read the history of desired state", err)
	}
	out := make([]ConfigChange, len(rows))
	for i := range rows {
		out[i] = rows[i].value()
	}
	return out, nil
}
