package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"aura/mlops/registry"
)

// ActionProof is what an executor shows for an approved action. That the decision behind it is signed and fits the action
// was checked before; the store sees to it that an action takes effect once, under a lease that is held, with a nonce
// that was never used.
type ActionProof struct {
	ActionID string
	Nonce    string
	// Epoch is the healing lease's.
	Epoch int64
	// By is the principal that stands in the history.
	By string
}

// Effect is what an action did.
type Effect struct {
	ActionID string `json:"action_id"`
	// Setting is the row of desired state that the action set, "" for none.
	Setting    string `json:"setting,omitempty"`
	Value      string `json:"value,omitempty"`
	Previous   string `json:"previous,omitempty"`
	Generation int64  `json:"generation,omitempty"`
	// Change is the id of the setting's line in the history of desired state, 0 for none.
	Change int64 `json:"change,omitempty"`
	// Era is in force from the effect on: applications accepted in it or later are post-action data.
	Era int64     `json:"era"`
	At  time.Time `json:"at"`
	// Detail is the caller's own, of RecordAction; of SetAliasesByAction the aliases before.
	Detail json.RawMessage `json:"detail,omitempty"`
	// Repeated says that the action had taken effect before; this call changed nothing.
	Repeated bool `json:"-"`
}

// AgentSetting is the setting that holds the least incarnation that an instance of an agent must be in; without an instance that
// of the only process there is.
func AgentSetting(agent, instance string) string {
	if instance == "" {
		return agentPrefix + agent
	}
	return agentPrefix + agent + "/" + instance
}

const agentPrefix = "agent."

// AgentOf is the agent, and the instance of it (see AgentSetting), whose least incarnation a setting holds.
func AgentOf(setting string) (agent, instance string, is bool) {
	name, is := strings.CutPrefix(setting, agentPrefix)
	agent, instance, _ = strings.Cut(name, "/")
	return agent, instance, is
}

// SetModeByAction changes the mode. Like the other ...ByAction it is one transaction: it checks the epoch, returns the
// recorded effect if the action had taken effect before, consumes the nonce, changes desired state, records the effect and
// the audit. *Refused: stale_epoch, replayed, held (by a person), invalid.
func (s *Store) SetModeByAction(ctx context.Context, p ActionProof, m Mode, reason string) (Effect, error) {
	if m != ModeModel && m != ModeSafe {
		return Effect{}, refuse(CodeInvalid, "no mode %q", m)
	}
	return s.act(ctx, p, func(t *tx, at time.Time) (Effect, error) {
		return t.setByAction(p, SettingMode, string(m), reason, at)
	})
}

// SetReferenceByAction changes the reference in force. *Refused unknown_reference, and as SetModeByAction.
func (s *Store) SetReferenceByAction(ctx context.Context, p ActionProof, id, reason string) (Effect, error) {
	return s.act(ctx, p, func(t *tx, at time.Time) (Effect, error) {
		return t.setByAction(p, SettingReference, id, reason, at)
	})
}

// BumpAgentByAction raises the least incarnation of an agent's instance to least, or leaves a higher one. *Refused as SetModeByAction.
func (s *Store) BumpAgentByAction(ctx context.Context, p ActionProof, agent, instance string, least int64, reason string) (Effect, error) {
	if agent == "" || least <= 0 {
		return Effect{}, refuse(CodeInvalid, "an agent's least incarnation needs a name and a positive number")
	}
	return s.act(ctx, p, func(t *tx, at time.Time) (Effect, error) {
		row, err := t.setting(AgentSetting(agent, instance))
		if err != nil {
			return Effect{}, err
		}
		if now, err := strconv.ParseInt(row.Value, 10, 64); err == nil && now > least {
			least = now
		}
		return t.setByAction(p, AgentSetting(agent, instance), strconv.FormatInt(least, 10), reason, at)
	})
}

// SetAliasesByAction moves aliases as SetAliases does. The effect is that on the champion, if it moved. *Refused
// unknown_version, and as SetModeByAction.
func (s *Store) SetAliasesByAction(ctx context.Context, p ActionProof, changes map[string]int, reason string) (Effect, error) {
	changes = maps.Clone(changes)
	return s.act(ctx, p, func(t *tx, at time.Time) (Effect, error) {
		before, err := readAliases(t.db)
		if err != nil {
			return Effect{}, err
		}
		moved, err := t.setAliases(changes, Change{By: p.By, Reason: reason, action: p.ActionID}, at)
		if err != nil {
			return Effect{}, err
		}
		e := Effect{Generation: moved.generation}
		if moved.champion.ID != 0 {
			e = effectOf(moved.champion)
		}
		if e.Detail, err = json.Marshal(map[string]any{"aliases_before": before}); err != nil {
			return Effect{}, err
		}
		_, isChampion := changes[registry.Champion]
		if isChampion && e.Setting == "" {
			e.Setting, e.Value = SettingChampion, strconv.Itoa(changes[registry.Champion])
			e.Previous = e.Value
		}
		return e, nil
	})
}

// RecordAction marks an action that changes no desired state (a retraining begun) as executed, once, with the detail.
// *Refused as SetModeByAction, but never held.
func (s *Store) RecordAction(ctx context.Context, p ActionProof, detail json.RawMessage) (Effect, error) {
	return s.act(ctx, p, func(*tx, time.Time) (Effect, error) { return Effect{Detail: detail}, nil })
}

func (t *tx) setByAction(p ActionProof, setting, value, reason string, at time.Time) (Effect, error) {
	c, err := t.set(Change{Setting: setting, Value: value, By: p.By, Reason: reason, action: p.ActionID}, at)
	return effectOf(c), err
}

func effectOf(c ConfigChange) Effect {
	return Effect{
		Setting: c.Setting.Setting, Value: c.Value, Previous: c.Previous, Generation: c.Generation, Change: c.ID,
	}
}

// act runs the change of an action at most once.
func (s *Store) act(ctx context.Context, p ActionProof, change func(*tx, time.Time) (Effect, error)) (Effect, error) {
	if p.ActionID == "" || p.Nonce == "" || p.By == "" {
		return Effect{}, refuse(CodeInvalid, "an action needs its id, a nonce and a principal")
	}
	return write(ctx, s, func(t *tx) (Effect, error) {
		if err := t.holds(LeaseHealing, p.Epoch); err != nil {
			return Effect{}, err
		}
		done, err := t.executed(p.ActionID)
		if err != nil || done.Repeated {
			return done, err
		}
		at := fromMicros(micros(time.Now()))
		if err := t.useNonce(p, at); err != nil {
			return Effect{}, err
		}
		e, err := change(t, at)
		if err != nil {
			return Effect{}, err
		}
		e.ActionID, e.At = p.ActionID, at
		if _, err := t.w.row("SELECT COALESCE(MAX(id), 0) FROM config_history", nil, &e.Era); err != nil {
			return Effect{}, err
		}
		return e, t.recordEffect(p, e)
	})
}

// executed returns the effect that the action had, with Repeated set, or an empty one.
func (t *tx) executed(id string) (Effect, error) {
	var text string
	found, err := t.w.row("SELECT effect FROM executed_actions WHERE action_id = ?", []any{id}, &text)
	if err != nil || !found {
		return Effect{}, err
	}
	return parseEffect(text)
}

func parseEffect(text string) (Effect, error) {
	e := Effect{Repeated: true}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return Effect{}, fmt.Errorf("effect: %w", err)
	}
	return e, nil
}

func (t *tx) useNonce(p ActionProof, at time.Time) error {
	var nonce string
	fresh, err := t.w.row("INSERT INTO used_nonces (nonce, action_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING nonce",
		[]any{p.Nonce, p.ActionID, micros(at)}, &nonce)
	if err == nil && !fresh {
		return refuse(CodeReplayed, "the nonce of action %s was used before", p.ActionID)
	}
	return err
}

func (t *tx) recordEffect(p ActionProof, e Effect) error {
	doc, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("effect: %w", err)
	}
	err = t.w.exec("INSERT INTO executed_actions (action_id, effect, epoch, at) VALUES (?, ?, ?, ?)",
		p.ActionID, string(doc), p.Epoch, micros(e.At))
	if err != nil {
		return err
	}
	at, err := stampOf(e.At).Value()
	if err != nil {
		return err
	}
	err = t.w.exec("UPDATE healing_actions SET executed_at = ? WHERE action_id = ?", at, p.ActionID)
	if err != nil {
		return err
	}
	return t.record(e.At, p.By, "action.executed", p.ActionID, e)
}
