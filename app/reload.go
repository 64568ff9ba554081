package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"aura/app/config"
	"aura/store"
	"aura/web/api"
)

// Settings of desired state that tell by which playbook and rules the loop goes: their digests, with who and when.
const (
	settingPlaybook = "playbook"
	settingPolicy   = "policy"
)

// reloadable are the keys that a running process takes over; each other one needs a restart.
var reloadable = []string{"healing.playbooks", "governance.profile", "governance.rules", "governance.limits"}

// rereadBy makes the configuration readable again.
func (h *healer) rereadBy(again func() (config.Config, error)) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	h.again = again
}

// reload reads the configuration again and goes by its playbook and rules, for what begins from now on: an incident keeps
// the ladder it has, until a person retries it or it relapses. One that is refused changes nothing. Errors: config.Errors,
// *Refused, the store's.
func (h *healer) reload(ctx context.Context, by, reason string) (api.Reload, error) {
	out, err := h.readAgain(ctx, by, reason)
	if err != nil {
		h.log.Error("the configuration is refused; the old one stays in force", "by", by, "reason", reason, "err", strings.Join(strings.Fields(err.Error()), " "))
	}
	return out, err
}

func (h *healer) readAgain(ctx context.Context, by, reason string) (api.Reload, error) {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	if h.again == nil {
		return api.Reload{}, refuse("this process was not started from a configuration that can be read again")
	}
	read, err := h.again()
	if err != nil {
		return api.Reload{}, err
	}
	before := h.force.Load()
	next := &healer{}
	if err := next.goBy(read); err != nil {
		return api.Reload{}, err
	}
	out := api.Reload{Applied: []string{}, NeedRestart: []string{}}
	for _, key := range config.Changed(before.cfg, read) {
		if slices.Contains(reloadable, key) {
			out.Applied = append(out.Applied, key)
		} else {
			out.NeedRestart = append(out.NeedRestart, key)
		}
	}
	if err := h.record(ctx, next.force.Load(), store.Change{By: by, Reason: reason, Person: true}); err != nil {
		return api.Reload{}, err
	}
	after := *next.force.Load()
	after.cfg = before.cfg // what needs a restart stays as it was
	after.cfg.Healing.Playbooks = read.Healing.Playbooks
	after.cfg.Governance.Profile, after.cfg.Governance.Rules, after.cfg.Governance.Limits = read.Governance.Profile, read.Governance.Rules, read.Governance.Limits
	h.force.Store(&after)
	out.Playbook, out.Policy = after.playbook.Digest(), after.policy()
	h.log.Warn("the configuration was read again", "by", by, "reason", reason, "applied", out.Applied, "need_restart", out.NeedRestart)
	return out, nil
}

// policy names rules, limits and profile.
func (f *inForce) policy() string {
	raw, err := json.Marshal(f.rules.Config)
	if err != nil {
		panic("app: a policy's configuration always encodes: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return f.rules.Config.Profile + " " + hex.EncodeToString(sum[:8])
}

// record keeps in the history by what the loop goes, where that is new.
func (h *healer) record(ctx context.Context, f *inForce, c store.Change) error {
	state, err := h.store.Desired(ctx)
	if err != nil {
		return err
	}
	for setting, value := range map[string]string{settingPlaybook: f.playbook.Digest(), settingPolicy: f.policy()} {
		if state.Settings[setting].Value == value {
			continue
		}
		c.Setting, c.Value = setting, value
		if _, err := h.store.Set(ctx, c); err != nil {
			return fmt.Errorf("record the %s: %w", setting, err)
		}
	}
	return nil
}

// Reload implements api.Operations.
func (b *operationsBackend) Reload(ctx context.Context, by api.Change) (api.Reload, error) {
	out, err := b.healer.reload(ctx, by.By, by.Reason)
	var wrong config.Errors
	var refused *Refused
	switch {
	case errors.As(err, &wrong):
		fields := make([]api.Field, len(wrong))
		for i, p := range wrong {
			fields[i] = api.Field{Field: p.Key, Problem: p.Wrong, Got: p.Value, Want: p.Remedy}
		}
		return out, api.RefuseFields(fields...)
	case errors.As(err, &refused):
		return out, api.Refuse(api.Conflict, "%s", refused.Reason)
	case err != nil:
		return out, refusal(err)
	}
	return out, nil
}

// followHangups reloads at each SIGHUP, until ctx ends.
func (h *healer) followHangups(ctx context.Context) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				_, _ = h.reload(ctx, "signal", "SIGHUP") // it logs what it refuses
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}
