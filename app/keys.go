package app

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"aura/app/config"

	"aura/agents/governance"
	"aura/app/cli"
	"aura/healing/policy"
	"aura/store"
	"aura/web/api"
)

// settingKey is the row of desired state that names the key which governance signs with: its history says who rotated it.
const settingKey = "governance.key"

func publicKeys(key ed25519.PrivateKey) map[string]ed25519.PublicKey {
	public := key.Public().(ed25519.PublicKey)
	return map[string]ed25519.PublicKey{policy.KeyID(public): public}
}

func keyID(key ed25519.PrivateKey) string { return policy.KeyID(key.Public().(ed25519.PublicKey)) }

// recordKey keeps in the history which key is in force, where that is new.
func recordKey(ctx context.Context, s *store.Store, key ed25519.PrivateKey, c store.Change) (previous string, err error) {
	state, err := s.Desired(ctx)
	if err != nil {
		return "", err
	}
	c.Setting, c.Value = settingKey, keyID(key)
	if previous = state.Settings[settingKey].Value; previous == c.Value {
		return previous, nil
	}
	if _, err = s.Set(ctx, c); err != nil {
		return previous, fmt.Errorf("record the key: %w", err)
	}
	// With it what it signed can be proven after it is gone.
	detail, err := json.Marshal(map[string]any{"public": []byte(key.Public().(ed25519.PublicKey))})
	if err != nil {
		return previous, err
	}
	return previous, s.AppendAudit(ctx, store.AuditEntry{Actor: c.By, Kind: store.KindPublicKey, Subject: c.Value, Detail: detail})
}

// rotate puts a new key in force in this process. The file first: if the process dies here, the next one finds it.
func (h *healer) rotate(ctx context.Context, c store.Change) (api.KeyRotation, error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	key, err := governance.RotateKey(h.store.Dir())
	if err != nil {
		return api.KeyRotation{}, err
	}
	h.healing.UseKeys(publicKeys(key)) // before anything is signed with it
	h.governance.UseKey(key)
	previous, err := recordKey(ctx, h.store, key, c)
	if err != nil {
		return api.KeyRotation{}, err
	}
	h.log.Warn("governance signs with a new key", "by", c.By, "reason", c.Reason, "key", keyID(key), "previous", previous)
	return api.KeyRotation{KeyID: keyID(key), Previous: previous}, nil
}

// RotateKey implements api.Operations.
func (b *operationsBackend) RotateKey(ctx context.Context, by api.Change) (api.KeyRotation, error) {
	if b.healer.healing == nil {
		return api.KeyRotation{}, api.RefuseUnavailable("no governance agent runs in this process", retryAfter, nil)
	}
	out, err := b.healer.rotate(ctx, store.Change{By: by.By, Reason: by.Reason, Person: true})
	if err != nil {
		return out, refusal(err)
	}
	return out, nil
}

// RotateKey makes a new key for a store whose data directory no process has open.
func RotateKey(ctx context.Context, cfg config.Config, by, reason string) (_ api.KeyRotation, err error) {
	dir := cfg.Data.Dir
	if err := hasStore(cfg); err != nil {
		return api.KeyRotation{}, err
	}
	s, err := store.Open(ctx, storeOptions(cfg, slog.New(slog.DiscardHandler)))
	var refused *store.Refused
	if errors.As(err, &refused) {
		return api.KeyRotation{}, cli.Exit(cli.ExitPrecondition, err, "ask the process that has it, with --server, or stop it")
	}
	if err != nil {
		return api.KeyRotation{}, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	key, err := governance.RotateKey(dir)
	if err != nil {
		return api.KeyRotation{}, err
	}
	previous, err := recordKey(ctx, s, key, store.Change{By: by, Reason: reason, Person: true})
	return api.KeyRotation{KeyID: keyID(key), Previous: previous}, err
}
