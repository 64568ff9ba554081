package app

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/healing/incident"
	"aura/web/api"
)

// fromFile runs a process whose configuration is a file that the test writes.
func fromFile(t *testing.T) (a *App, write func(string)) {
	t.Helper()
	name := filepath.Join(t.TempDir(), config.FileName)
	write = func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("healing: {enabled: true}\n")
	loaded, err := config.Load(config.Options{File: name})
	if err != nil {
		t.Fatal(err)
	}
	a = healed(t, func(c *config.Config) { c.Healing = loaded.Config.Healing })
	a.parts.Healer.rereadBy(func() (config.Config, error) {
		again, err := loaded.Again()
		return again.Config, err
	})
	return a, write
}

// TestReload: a bad playbook is refused by the field and the old one stays; a good one is in force for the next incident,
// and who did it stands in the history; the supervised profile is taken over too, other keys are named.
func TestReload(t *testing.T) {
	t.Parallel()
	a, write := fromFile(t)
	h, ctx := a.parts.Healer, t.Context()
	var logged bytes.Buffer
	h.log = slog.New(slog.NewTextHandler(&logged, nil))
	b := &operationsBackend{h}
	before := h.playbook().Digest()
	for text, want := range map[string]string{
		"{LATENCY_SLO_BREACH: [{action: PRAY, verification: signal}]}":                                 "LATENCY_SLO_BREACH[0].action",
		"{LATENCY_SLO_BREACH: []}":                                                                     "LATENCY_SLO_BREACH",
		"{LATENCY_SLO_BREACH: [{action: ENABLE_SAFE_MODE, verification: signal, verify_within: -1s}]}": "LATENCY_SLO_BREACH[0].verify_within",
		"{LATENCY_SLO_BREACH: [{action: ENABLE_SAFE_MODE}]}":                                           "LATENCY_SLO_BREACH[0].verification",
		"{EARTHQUAKE: [{action: ENABLE_SAFE_MODE, verification: signal}]}":                             "EARTHQUAKE",
	} {
		write("healing:\n  playbooks: " + text + "\n")
		_, err := b.Reload(ctx, api.Change{By: "ann", Reason: "x"})
		r := api.IsRefusal(err)
		if r == nil || r.Code != api.Invalid || len(r.Fields) != 1 || r.Fields[0].Field != "healing.playbooks" || !strings.Contains(r.Fields[0].Problem, want) {
			t.Errorf("%s: %v", text, err)
		}
		if line := logged.String(); strings.Count(line, "the old one stays in force") != 1 || !strings.Contains(line, "by=ann") || !strings.Contains(line, want) {
			t.Errorf("%s: logged %q", text, line)
		}
		logged.Reset()
		if h.playbook().Digest() != before {
			t.Fatalf("%s: the playbook in force changed", text)
		}
	}
	write("healing:\n  playbooks: {LATENCY_SLO_BREACH: [{action: RESTART_AGENT, verification: signal, verify_within: 15s}]}\nshutdown: {timeout: 9s}\n")
	r, err := b.Reload(ctx, api.Change{By: "ann", Reason: "no safe mode here"})
	if err != nil || strings.Join(r.Applied, " ") != "healing.playbooks" || !strings.Contains(strings.Join(r.NeedRestart, " "), "shutdown.timeout") || r.Playbook == before {
		t.Fatalf("%+v, %v", r, err)
	}
	changes, err := a.parts.Store.ConfigHistory(ctx, 1, 0)
	if err != nil || changes[0].Setting.Setting != settingPlaybook || changes[0].Owner != "ann" || changes[0].Value != r.Playbook || changes[0].Previous != before {
		t.Errorf("history %+v, %v", changes, err)
	}
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	var in incident.Incident
	for in.Kind == "" {
		in = newestOf(t, a)
	}
	if len(in.Ladder) != 1 || in.Ladder[0].Action != incident.RestartAgent {
		t.Errorf("the incident began with %+v", in.Ladder)
	}
}

// newestOf is the newest incident, once there is one; it waits in real time, as the process is real.
func newestOf(t *testing.T, a *App) (in incident.Incident) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		rows, err := a.parts.Store.OpenIncidents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > 0 {
			return documentOf(rows[0])
		}
	}
	t.Fatal("no incident")
	return in
}

// TestHangupReloads: SIGHUP does what the API does.
func TestHangupReloads(t *testing.T) {
	a, write := fromFile(t)
	h := a.parts.Healer
	ctx, cancel := context.WithCancel(t.Context())
	stop := h.followHangups(ctx)
	defer func() { cancel(); stop() }()
	write("governance: {profile: supervised}\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); h.profile() != "supervised"; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("profile %s", h.profile())
		}
	}
	response, err := http.Get(a.URL() + "/api/v1/healing")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s", response.Status)
	}
	changes, err := a.parts.Store.ConfigHistory(ctx, 1, 0)
	if err != nil || changes[0].Setting.Setting != settingPolicy || changes[0].Owner != "signal" || !strings.HasPrefix(changes[0].Value, "supervised ") {
		t.Errorf("history %+v, %v", changes, err)
	}
}
