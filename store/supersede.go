package store

import (
	"context"
	"strconv"

	"gorm.io/gorm"
)

// Executed returns the effect that an action had; ErrNotFound if it had none.
func (s *Store) Executed(ctx context.Context, actionID string) (Effect, error) {
	return executedEffect(s.read(ctx), actionID)
}

func executedEffect(db *gorm.DB, actionID string) (Effect, error) {
	var rows []string
	err := db.Table("executed_actions").Where("action_id = ?", actionID).Limit(1).Pluck("effect", &rows).Error
	if err != nil {
		return Effect{}, readErr("read an effect", err)
	}
	if len(rows) == 0 {
		return Effect{}, ErrNotFound
	}
	e, err := parseEffect(rows[0])
	e.Repeated = false
	return e, err
}

// Replaced returns the newest change that took a version out of charge; nil where it was never in charge, or still is.
func (s *Store) Replaced(ctx context.Context, version int) (*ConfigChange, error) {
	var rows []storedConfigChange
	err := s.read(ctx).Where("setting = ? AND previous = ?", SettingChampion, strconv.Itoa(version)).Order("id DESC").Limit(1).Find(&rows).Error
	if err != nil {
		return nil, readErr("look for who took a version out of charge", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	c := rows[0].value()
	return &c, nil
}

// Superseded returns what changed the setting that the action set since then: the latest change by a person (the incident
// ends as SUPERSEDED), else the latest by another action (its own undo, or another incident's). nil while what the action
// set stands, and for one that set nothing; ErrNotFound for one that never took effect.
func (s *Store) Superseded(ctx context.Context, actionID string) (*ConfigChange, error) {
	var out *ConfigChange
	err := s.snapshot(ctx, func(db *gorm.DB) error {
		e, err := executedEffect(db, actionID)
		if err != nil || e.Setting == "" {
			return err
		}
		var rows []storedConfigChange
		err = db.Where("setting = ? AND id > ?", e.Setting, e.Era).Order("person DESC, id DESC").Limit(1).Find(&rows).Error
		if len(rows) == 1 {
			c := rows[0].value()
			out = &c
		}
		return err
	})
	if err != nil {
		return nil, readErr("look for later changes", err)
	}
	return out, nil
}
