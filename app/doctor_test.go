package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aura/app"
	"aura/app/cli"
	"aura/app/config"
	"aura/app/doctor"
	"aura/mlops/registry/mlflow/mlflowtest"
)

// looked is what the doctor says of each part of a data directory.
func looked(t *testing.T, dir, prometheus string, environ ...string) map[string]doctor.Finding {
	t.Helper()
	loaded, err := config.Load(config.Options{Dir: filepath.Dir(dir), Environ: append(environ, "AURA_DATA_DIR="+dir, "AURA_HTTP_ADDR=127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := app.Doctor(t.Context(), loaded, cli.DoctorRequest{Prometheus: prometheus})
	report, ok := out.(doctor.Report)
	if !ok || report.Healthy != (err == nil) {
		t.Fatalf("%T, %v", out, err)
	}
	found := map[string]doctor.Finding{}
	for _, f := range report.Findings {
		found[f.Part] = f
	}
	return found
}

func says(t *testing.T, found map[string]doctor.Finding, part string, state doctor.State, text string) {
	t.Helper()
	f := found[part]
	if f.State != state || !strings.Contains(f.Found, text) || f.State == doctor.Failed && f.Remedy == "" {
		t.Errorf("%s: %+v, want %s with %q", part, f, state, text)
	}
}

// TestDoctor: before a first start, beside a running server, and with one thing broken after the other.
func TestDoctor(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "data")
	found := looked(t, empty, "")
	for part, text := range map[string]string{"data directory": "is made", "server": "is free", "store": "no database yet", "model": "trains one", "key": "made by the first start", "configuration": "valid"} {
		says(t, found, part, doctor.OK, text)
	}
	says(t, found, "MLflow", doctor.Unused, "mlflow.url")
	if _, err := os.Stat(empty); !os.IsNotExist(err) {
		t.Errorf("a look has made the directory: %v", err)
	}

	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	r := runIn(t, dir, nil)
	until(t, 20*time.Second, "ready", func() string {
		if status, text := r.ready(); status != http.StatusOK {
			return text
		}
		return ""
	})
	if err := os.WriteFile(filepath.Join(dir, cli.AddressFile), []byte(strings.TrimPrefix(r.URL(), "http://")), 0o600); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the webhook was called") }))
	defer hook.Close()
	f := mlflowtest.NewFake(t)
	found = looked(t, dir, "", "AURA_HEALING_WEBHOOK="+hook.URL, "AURA_TRACING_ENDPOINT="+hook.URL, "AURA_MLFLOW="+f.URL)
	says(t, found, "server", doctor.OK, "is ready")
	address := filepath.Join(dir, cli.AddressFile)
	if err := os.WriteFile(address, []byte("127.0.0.1:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, dir, ""), "server", doctor.Failed, "holds "+dir) // as one that hangs
	if err := os.Remove(address); err != nil {
		t.Fatal(err)
	}
	says(t, found, "store", doctor.OK, "tables at version")
	says(t, found, "model", doctor.OK, "version 1")
	says(t, found, "webhook", doctor.OK, "nothing was sent")
	says(t, found, "tracing", doctor.OK, "nothing was sent")
	says(t, found, "MLflow", doctor.OK, "3.17.2")
	r.stop()

	f.Down(true)
	hook.Close()
	found = looked(t, dir, "", "AURA_HEALING_WEBHOOK="+hook.URL+"/s3cret", "AURA_TRACING_ENDPOINT="+hook.URL+"/s3cret", "AURA_MLFLOW="+f.URL, "AURA_DB=postgres://a:s3cret@127.0.0.1:1/x")
	says(t, found, "MLflow", doctor.Failed, "503")
	says(t, found, "webhook", doctor.Failed, "refused")
	says(t, found, "tracing", doctor.Failed, "refused")
	says(t, found, "store", doctor.Failed, "refused")
	if text := fmt.Sprint(found); strings.Contains(text, "s3cret") {
		t.Errorf("a secret is shown: %s", text)
	}

	files, err := filepath.Glob(filepath.Join(dir, "models", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := os.Truncate(name, 100); err != nil {
			t.Fatal(err)
		}
	}
	says(t, looked(t, dir, ""), "model", doctor.Failed, "version 1")
	key, cfg := filepath.Join(dir, "keys", "agl.ed25519"), config.Default()
	cfg.Data.Dir = dir
	rotated, err := app.RotateKey(t.Context(), cfg, "ann", "a first key")
	if err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, dir, ""), "key", doctor.OK, "has the key "+rotated.KeyID)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, dir, ""), "key", doctor.Failed, "is missing")
	id, err := app.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, dir, ""), "key", doctor.Failed, "has the key "+id)
	if err := os.WriteFile(filepath.Join(dir, "aura.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	found = looked(t, dir, "")
	if says(t, found, "store", doctor.Failed, "SQLite"); strings.Contains(found["store"].Remedy, "AURA_DB") {
		t.Errorf("%+v", found["store"])
	}
	if err := os.WriteFile(key, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, dir, ""), "key", doctor.Failed, "no key of AURA")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, looked(t, file, ""), "data directory", doctor.Failed, "is a file")
}

// TestDoctorAsksPrometheus: whether it reads us, without trouble, and has the rules.
func TestDoctorAsksPrometheus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, job, health, group string
		state                    doctor.State
		text                     string
	}{
		{"well", "aura", "up", "aura-loop", doctor.OK, "has the alert rules"},
		{"no rules", "aura", "up", "other", doctor.Warning, "none of the alert rules"},
		{"another job", "node", "up", "aura-loop", doctor.Failed, "none of its 1 targets"},
		{"refused", "aura", "down", "aura-loop", doctor.Failed, "401"},
	} {
		answer := func(w http.ResponseWriter, data any) {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/api/v1/targets", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("Prometheus gets our token")
			}
			answer(w, map[string]any{"activeTargets": []any{map[string]any{
				"scrapeUrl": "http://127.0.0.1:8080/metrics", "health": c.health, "lastError": "server returned HTTP status 401", "labels": map[string]string{"job": c.job},
			}}})
		})
		mux.HandleFunc("/api/v1/rules", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"groups": []any{map[string]string{"name": c.group}}})
		})
		s := httptest.NewServer(mux)
		t.Run(c.name, func(t *testing.T) {
			defer s.Close()
			says(t, looked(t, t.TempDir(), s.URL, "AURA_TOKEN=s3cret"), "Prometheus", c.state, c.text)
		})
	}
}
