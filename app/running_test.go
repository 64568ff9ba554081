package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"aura/agents"
	"aura/agents/fault"
	"aura/app"
	"aura/app/config"
)

// running is an App inside the test.
type running struct {
	*app.App
	t     *testing.T
	dir   string
	parts app.Parts
	log   *safeBuffer
	once  sync.Once
}

// settings of an App inside a test: a directory and a port of its own, nothing simulated, quick deadlines.
func settings(dir string) config.Config {
	c := config.Default()
	c.HTTP.Addr, c.Data.Dir, c.Simulate.Rate = "127.0.0.1:0", dir, 0
	c.Training.Rows, c.Training.Trees = 2000, 20
	c.Healing.Enabled = false // what is broken stays broken, unless the test is about healing
	c.Agents.StageDeadline, c.Agents.Grace = 400*time.Millisecond, 200*time.Millisecond
	c.Desired.Poll = 100 * time.Millisecond
	c.Sweep.MinAge = time.Second
	return c
}

// run starts an App with two trained models, of which the first is the champion; it is stopped at the test's end.
func run(t *testing.T, change func(*config.Config)) *running {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	return runIn(t, dir, change)
}

func runIn(t *testing.T, dir string, change func(*config.Config)) *running {
	t.Helper()
	r := prepare(t, dir, change)
	r.begin()
	return r
}

// begin starts everything.
func (r *running) begin() {
	r.t.Helper()
	if err := r.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// prepare makes an App that is not started yet.
func prepare(t *testing.T, dir string, change func(*config.Config)) *running {
	t.Helper()
	cfg := settings(dir)
	if change != nil {
		change(&cfg)
	}
	r := &running{t: t, dir: dir, log: &safeBuffer{}}
	a, err := app.New(t.Context(), cfg, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.App, r.parts = a, a.Parts()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("the log ends with\n%s", tail(r.log.String(), 30))
		}
	})
	return r
}

// stop drains and stops; it must succeed.
func (r *running) stop() {
	r.once.Do(func() {
		r.t.Helper()
		r.parts.Faults.Clear()
		if err := r.Stop(context.WithoutCancel(r.t.Context())); err != nil {
			r.t.Errorf("stop: %v", err)
		}
	})
}

// twoModels is a data directory with two trained models, kept in memory.
var twoModels = sync.OnceValue(func() fs.FS {
	dir, err := os.MkdirTemp("", "aura-models-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, seed := range []string{"1", "2"} {
		var out safeBuffer
		args := []string{"train", "--dir", dir, "--seed", seed, "--trees", "20", "--set", "training.rows=2000", "-o", "json"}
		if code := program(args, &out, &out); code != 0 {
			panic(fmt.Sprintf("train ended with %d\n%s", code, &out))
		}
	}
	files := fstest.MapFS{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = &fstest.MapFile{Data: data, Mode: 0o600}
		return err
	})
	if err != nil {
		panic(err)
	}
	return files
})

// until polls a condition, which is "" when it holds and else what is still missing. The longer it takes the less often: the
// polls of a minute are not to be a load of their own, and are never later than by a fiftieth.
func until(t *testing.T, within time.Duration, what string, missing func() string) {
	t.Helper()
	begun := time.Now()
	for {
		m := missing()
		waited := time.Since(begun)
		switch {
		case m == "":
			return
		case waited > within:
			t.Fatalf("%s: not within %s: %s", what, within, m)
		}
		time.Sleep(min(max(waited/50, 2*time.Millisecond), 100*time.Millisecond)) // nothing signals these conditions
	}
}

func (r *running) api(path string) string { return r.URL() + "/api/v1/" + path }

// must makes a request that has to be answered with the status.
func (r *running) must(status int, method, path string, body, answer any) {
	r.t.Helper()
	got, err := call(method, r.api(path), body, answer)
	if err != nil || got != status {
		r.t.Fatalf("%s %s: status %d, %v; want %d", method, path, got, err, status)
	}
}

func (r *running) setMode(mode string) int64 {
	r.t.Helper()
	var m struct {
		Generation int64 `json:"generation"`
	}
	r.must(http.StatusOK, http.MethodPut, "mode", map[string]string{"mode": mode, "reason": "test"}, &m)
	return m.Generation
}

// inject makes a fault of 10 minutes, so that it is the test that ends it, and returns its id.
func (r *running) inject(f fault.Fault) string {
	r.t.Helper()
	f.Share, f.TTL = 1, 10*time.Minute
	made, err := r.parts.Faults.Inject(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return made.ID
}

func (r *running) status(agent string) agents.Status {
	for _, s := range r.parts.Supervisor.Statuses() {
		if s.Agent == agent {
			return s
		}
	}
	r.t.Fatalf("no agent %s", agent)
	return agents.Status{}
}

// ready is the body and the status of /readyz.
func (r *running) ready() (int, string) {
	r.t.Helper()
	status, body := get(r.t, r.URL()+"/readyz")
	return status, body
}

// db opens the database beside the running process, to read.
func (r *running) db() *sql.DB {
	r.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "aura.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (r *running) count(query string, args ...any) int {
	r.t.Helper()
	db := r.db()
	defer db.Close()
	var n int
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// reply is an answer with what a client may look at.
type reply struct {
	Status  int
	Header  http.Header
	Body    string
	Problem struct {
		Type   string `json:"type"`
		Detail string `json:"detail"`
		Errors []struct{ Field, Problem, Got, Want string }
	}
}

// post sends a raw body to a route of the API, with headers in pairs.
func (r *running) post(path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequest(http.MethodPost, r.api(path), strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	out := reply{Status: resp.StatusCode, Header: resp.Header, Body: string(raw)}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(raw, &out.Problem); err != nil {
			return reply{}, fmt.Errorf("%w in %s", err, raw)
		}
	}
	return out, nil
}

// accept hands n applications in without waiting for their decisions and returns their ids.
func (r *running) accept(prefix string, n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", prefix, i)
		got, err := r.post("applications", application(ids[i], 700), "Prefer", "respond-async")
		if err != nil || got.Status != http.StatusAccepted && got.Status != http.StatusOK {
			r.t.Fatalf("%s: %d %v %s", ids[i], got.Status, err, got.Body)
		}
	}
	return ids
}

// decide hands one application in and returns its decision, which must come at once.
func (r *running) decide(id string) sighting {
	r.t.Helper()
	var s sighting
	status, err := call(http.MethodPost, r.api("applications"), json.RawMessage(application(id, 700)), &s)
	if err != nil || status != http.StatusOK {
		r.t.Fatalf("%s: status %d, %v; want a decision", id, status, err)
	}
	return s
}

// decided waits until all of the applications are decided and returns their decisions.
func (r *running) decided(within time.Duration, ids ...string) []sighting {
	r.t.Helper()
	out := make([]sighting, len(ids))
	until(r.t, within, "decisions", func() string {
		for i, id := range ids {
			if out[i].Decision != "" {
				continue
			}
			if status, err := call(http.MethodGet, r.api("applications/"+id), nil, &out[i]); err != nil || status != http.StatusOK {
				return fmt.Sprintf("%s: status %d, %v", id, status, err)
			}
			if out[i].Decision == "" {
				return id + " is undecided"
			}
		}
		return ""
	})
	return out
}

func application(id string, score int) string {
	return fmt.Sprintf(`{"application_id":%q,"features":{"credit_score":%d,"debt_ratio":30,"income":50000,"loan_amount":15000,"employment_years":5}}`, id, score)
}

var stacks = regexp.MustCompile(` stack="[^"]*"`)

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(stacks.ReplaceAllString(s, "")), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
