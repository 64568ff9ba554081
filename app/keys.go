package app

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"aura/agents/governance"
	"aura/agents/healing"
	"aura/app/cli"
	"aura/app/config"
	"aura/store"
	"aura/web/api"
)

// keyFile is where this process has the key that governance signs with.
func keyFile(cfg config.Config) string {
	return cmp.Or(cfg.Governance.KeyFile, governance.KeyFile(cfg.Data.Dir))
}

func publicKeys(key ed25519.PrivateKey) map[string]ed25519.PublicKey {
	return map[string]ed25519.PublicKey{governance.KeyID(key): key.Public().(ed25519.PublicKey)}
}

func keyInForce(ctx context.Context, st *store.Store) (id string, err error) {
	state, err := st.Desired(ctx)
	return state.Settings[store.SettingKey].Value, err
}

// loadKey returns the key of a file, which must be the one in force. Where none is yet, one is made if the file isn't there.
func loadKey(ctx context.Context, st *store.Store, name string) (ed25519.PrivateKey, error) {
	inForce, err := keyInForce(ctx, st)
	if err != nil {
		return nil, err
	}
	key, ok, err := governance.FindKey(name, inForce)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && inForce == "":
		if key, err = governance.MakeKey(name); err != nil {
			return nil, refuse("governance.key_file: %v", err)
		}
	case missing:
		return nil, refuse("governance.key_file: %s is missing, and decisions are signed with the key %s: put a copy of that key's file there, from another process of this database; if it is lost, aura keys rotate puts a new one in force", name, inForce)
	case err != nil:
		return nil, refuse("governance.key_file: %v", err)
	case !ok && inForce != "":
		return nil, otherKey(name, key, inForce)
	}
	return key, nil
}

// signs tells whether this process signs or executes: by its agents, or for people who ask it what is decided elsewhere.
func signs(cfg config.Config) bool {
	return selected(cfg, healing.Name) || selected(cfg, governance.Name) || shared(cfg) && selected(cfg, webName)
}

// firstKey is the key of this process at its start. Where nothing is signed or executed it is nobody's.
func (h *healer) firstKey(ctx context.Context, cfg config.Config) (key ed25519.PrivateKey, err error) {
	if !signs(cfg) {
		_, key, err = ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	h.keyFile = keyFile(cfg)
	if h.key, err = loadKey(ctx, h.store, h.keyFile); err != nil {
		return nil, err
	}
	h.keyID.Store(new(governance.KeyID(h.key)))
	return h.key, nil
}

func (h *healer) recordKey(ctx context.Context, c store.Change) error {
	if h.keyFile == "" {
		return nil
	}
	return recordKey(ctx, h.store, h.keyFile, h.key, c)
}

func otherKey(name string, key ed25519.PrivateKey, inForce string) error {
	return refuse("governance.key_file: %s has the key %s, and decisions are signed with %s: put a copy of that key's file there, from another process of this database; if this one shall be used from now on, aura keys rotate",
		name, governance.KeyID(key), inForce)
}

// recordKey names the key of this process as the one in force, where none is.
func recordKey(ctx context.Context, st *store.Store, name string, key ed25519.PrivateKey, c store.Change) error {
	inForce, err := keyInForce(ctx, st)
	if err != nil || inForce == governance.KeyID(key) {
		return err
	}
	if inForce != "" {
		return otherKey(name, key, inForce)
	}
	err = putKey(ctx, st, key, "", c)
	var refused *store.Refused
	if errors.As(err, &refused) && refused.Code == store.CodeConflict {
		return recordKey(ctx, st, name, key, c) // a process that starts beside this one was quicker
	}
	return err
}

func putKey(ctx context.Context, st *store.Store, key ed25519.PrivateKey, previous string, c store.Change) error {
	return st.PutKey(ctx, governance.KeyID(key), key.Public().(ed25519.PublicKey), previous, c)
}

// rotateKey puts another key in force: the one that somebody has put in the file's place, or else a new one, which takes that
// place once the store names it. So whatever stops in between, the key in force is there.
func rotateKey(ctx context.Context, st *store.Store, name string, c store.Change) (key ed25519.PrivateKey, out api.KeyRotation, err error) {
	previous, err := keyInForce(ctx, st)
	if err != nil {
		return nil, out, err
	}
	key, there, err := governance.FindKey(name, previous)
	if there || err != nil { // also one that others may read, or that is broken: that is mended by this
		if key, err = governance.NextKey(name); err != nil {
			return nil, out, fmt.Errorf("%w; where the file is a mounted secret: aura keys new FILE, put FILE in the secret, and when the processes have it aura keys rotate once", err)
		}
	}
	if err := putKey(ctx, st, key, previous, c); err != nil {
		return nil, out, err
	}
	if _, _, err := governance.FindKey(name, governance.KeyID(key)); err != nil {
		return nil, out, err
	}
	return key, api.KeyRotation{KeyID: governance.KeyID(key), Previous: previous}, nil
}

// rotate puts another key in force, in this process at once; others follow.
func (h *healer) rotate(ctx context.Context, c store.Change) (api.KeyRotation, error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	key, out, err := rotateKey(ctx, h.store, h.keyFile, c)
	if err != nil {
		return out, err
	}
	h.useKey(key)
	h.log.Warn("governance signs with another key", "by", c.By, "reason", c.Reason, "key", out.KeyID, "previous", out.Previous)
	h.system.announce(ctx, store.SettingKey, 0)
	return out, nil
}

func (h *healer) useKey(key ed25519.PrivateKey) {
	h.healing.UseKeys(publicKeys(key)) // before anything is signed with it
	h.governance.UseKey(key)
	h.keyID.Store(new(governance.KeyID(key)))
}

// followKey goes by the key in force, where another process has put it there. Until this one has it, it signs nothing that counts
// (the store refuses it) and executes nothing that is signed since.
func (h *healer) followKey() {
	if h.keyFile == "" {
		return
	}
	inForce := h.system.view.Current().Key
	if inForce == "" || inForce == *h.keyID.Load() {
		return
	}
	h.reloading.Lock()
	defer h.reloading.Unlock()
	key, ok, err := governance.FindKey(h.keyFile, inForce)
	if err != nil || !ok {
		h.noKey.Say(h.log, slog.LevelError, "the key in force is not in governance.key_file: this process signs and executes nothing until it is put there",
			"key", inForce, "file", h.keyFile, "err", err)
		return
	}
	h.useKey(key)
	h.log.Warn("governance signs with another key, which another process has put in force", "key", inForce)
}

// RotateKey implements api.Operations.
func (b *operationsBackend) RotateKey(ctx context.Context, by api.Change) (api.KeyRotation, error) {
	if b.healer.keyFile == "" {
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
	_, out, err := rotateKey(ctx, s, keyFile(cfg), store.Change{By: by, Reason: reason, Person: true})
	return out, err
}

// NewKey makes a file with a new key, for the processes of a deployment to have. One that is there already stays.
func NewKey(name string) (id string, err error) {
	if _, err := governance.ReadKey(name); !errors.Is(err, fs.ErrNotExist) {
		return "", cli.Exit(cli.ExitPrecondition, errors.Join(fmt.Errorf("%s is there already", name), err), "name another file")
	}
	key, err := governance.MakeKey(name)
	if err != nil {
		return "", err
	}
	return governance.KeyID(key), nil
}
