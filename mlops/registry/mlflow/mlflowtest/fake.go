// Package mlflowtest gives tests an MLflow server: Fake, which answers in memory as the real one does, as far as a mirror asks,
// and Start, the real one, where AURA_PYTHON names a Python that has it.
//
// It is for tests only and imports nothing of ours. The suite of mlflow runs over both, so that the fake's answers are those
// of the real server.
package mlflowtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Fake is an MLflow server in memory.
type Fake struct {
	// URL is its address.
	URL string

	mu          sync.Mutex
	down        bool
	calls       int
	failAt      int // the call that is answered with 500
	experiments map[string]string
	runs        map[string]*fakeRun
	logged      map[string]string // status by id
	files       map[string][]byte
	versions    []fakeVersion
	model       string
	aliases     map[string]string
	tags        map[string]string
}

type fakeRun struct {
	status string
	tags   map[string]string
	params map[string]string
}

type fakeVersion struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Status  string    `json:"status"`
	Source  string    `json:"source"`
	RunID   string    `json:"run_id"`
	Tags    []fakeTag `json:"tags,omitempty"`
}

type fakeTag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// NewFake starts one; it ends with the test.
func NewFake(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{
		experiments: map[string]string{}, runs: map[string]*fakeRun{}, logged: map[string]string{}, files: map[string][]byte{},
		aliases: map[string]string{}, tags: map[string]string{},
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.URL = s.URL
	return f
}

// Down makes it answer nothing but 503, or stops that.
func (f *Fake) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// FailAt answers the n-th call from now with 500, once.
func (f *Fake) FailAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt = f.calls + n
}

// Alias is the version that an alias names, empty for none.
func (f *Fake) Alias(alias string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.aliases[alias]
}

// Move makes an alias name a version, as people do in the server's UI.
func (f *Fake) Move(alias, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aliases[alias] = version
}

// Left names the registered model and the experiments that are there.
func (f *Fake) Left() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.model != "" {
		names = append(names, f.model)
	}
	return slices.AppendSeq(names, maps.Keys(f.experiments))
}

// Calls is how many calls there were.
func (f *Fake) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Runs counts the runs by status.
func (f *Fake) Runs() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]int{}
	for _, r := range f.runs {
		out[r.status]++
	}
	return out
}

var loggedPath = regexp.MustCompile(`^logged-models/(m-\d+)$`)

// ServeHTTP answers.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.down || f.calls == f.failAt {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if path, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow-artifacts/artifacts/"); ok {
		f.artifact(w, r, path, body)
		return
	}
	if r.URL.Path == "/version" {
		_, _ = io.WriteString(w, "3.17.2")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow/")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!doctype html><title>404</title>")
		return
	}
	in := map[string]any{}
	if len(body) > 0 && json.Unmarshal(body, &in) != nil {
		in = map[string]any{}
	}
	for k, v := range r.URL.Query() {
		in[k] = v[0]
	}
	out, status, code := f.answer(r.Method, path, in)
	w.Header().Set("Content-Type", "application/json")
	if code != "" {
		w.WriteHeader(status)
		out = map[string]string{"error_code": code, "message": path + ": " + code}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (f *Fake) artifact(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	switch r.Method {
	case http.MethodPut:
		f.files[path] = body
	case http.MethodGet:
		content, ok := f.files[path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(content)
	}
}

// answer is one call of the REST API; code is empty for an answer of 200.
func (f *Fake) answer(method, path string, in map[string]any) (out any, status int, code string) {
	text := func(key string) string { s, _ := in[key].(string); return s }
	missing := func() (any, int, string) { return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST" }
	invalid := func() (any, int, string) { return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE" }
	if m := loggedPath.FindStringSubmatch(path); m != nil {
		if text("model_id") != m[1] || f.logged[m[1]] == "" {
			return invalid()
		}
		f.logged[m[1]] = text("status")
		return map[string]any{"model": map[string]any{"info": map[string]any{"model_id": m[1], "status": text("status")}}}, 0, ""
	}
	switch method + " " + path {
	case "POST experiments/search":
		if in["max_results"] == nil {
			return invalid()
		}
		return map[string]any{}, 0, ""
	case "GET experiments/get-by-name":
		id, ok := f.experiments[text("experiment_name")]
		if !ok {
			return missing()
		}
		return map[string]any{"experiment": map[string]any{"experiment_id": id, "lifecycle_stage": "active"}}, 0, ""
	case "POST experiments/create":
		if f.experiments[text("name")] != "" {
			return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS"
		}
		id := strconv.Itoa(len(f.experiments) + 1)
		f.experiments[text("name")] = id
		return map[string]any{"experiment_id": id}, 0, ""
	case "POST experiments/delete":
		for name, id := range f.experiments {
			if id == text("experiment_id") {
				delete(f.experiments, name)
				return map[string]any{}, 0, ""
			}
		}
		return missing()
	case "POST runs/create":
		id := fmt.Sprintf("run%d", len(f.runs)+1)
		f.runs[id] = &fakeRun{status: "RUNNING", tags: tagsOf(in["tags"]), params: map[string]string{}}
		return map[string]any{"run": map[string]any{"info": map[string]any{"run_id": id}}}, 0, ""
	case "POST runs/search":
		return map[string]any{"runs": f.running(text("filter"))}, 0, ""
	case "POST runs/log-batch", "POST runs/log-inputs", "POST runs/outputs", "POST runs/update":
		run := f.runs[text("run_id")]
		if run == nil {
			return missing()
		}
		if s := text("status"); s != "" {
			run.status = s
		}
		for k, v := range tagsOf(in["params"]) {
			run.params[k] = v
		}
		return map[string]any{}, 0, ""
	case "POST logged-models":
		if strings.ContainsAny(text("name"), `/:.%"'`) {
			return invalid()
		}
		id := fmt.Sprintf("m-%d", len(f.logged)+1)
		f.logged[id] = "LOGGED_MODEL_PENDING"
		return map[string]any{"model": map[string]any{"info": map[string]any{
			"model_id": id, "artifact_uri": "mlflow-artifacts:/" + text("experiment_id") + "/models/" + id + "/artifacts",
		}}}, 0, ""
	}
	return f.registered(method+" "+path, text, in["tags"])
}

func (f *Fake) registered(call string, text func(string) string, tags any) (out any, status int, code string) {
	if call == "POST registered-models/create" {
		if f.model == text("name") {
			return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS"
		}
		f.model = text("name")
		return map[string]any{}, 0, ""
	}
	if call == "GET model-versions/search" {
		return map[string]any{"model_versions": f.versions}, 0, ""
	}
	if f.model == "" || text("name") != f.model {
		return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST"
	}
	known := func(version string) bool {
		n, err := strconv.Atoi(version)
		return err == nil && n >= 1 && n <= len(f.versions)
	}
	switch call {
	case "GET registered-models/get":
		var aliases []map[string]string
		for a, v := range f.aliases {
			aliases = append(aliases, map[string]string{"alias": a, "version": v})
		}
		var list []fakeTag
		for k, v := range f.tags {
			list = append(list, fakeTag{k, v})
		}
		return map[string]any{"registered_model": map[string]any{"name": f.model, "aliases": aliases, "tags": list}}, 0, ""
	case "POST model-versions/create":
		v := fakeVersion{Name: f.model, Version: strconv.Itoa(len(f.versions) + 1), Status: "READY", Source: text("source"), RunID: text("run_id")}
		for key, value := range tagsOf(tags) {
			v.Tags = append(v.Tags, fakeTag{key, value})
		}
		f.versions = append(f.versions, v)
		return map[string]any{"model_version": v}, 0, ""
	case "POST registered-models/alias":
		if !known(text("version")) {
			return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST"
		}
		f.aliases[text("alias")] = text("version")
		return map[string]any{}, 0, ""
	case "DELETE registered-models/alias":
		delete(f.aliases, text("alias"))
		return map[string]any{}, 0, ""
	case "DELETE registered-models/delete":
		f.model, f.versions, f.aliases, f.tags = "", nil, map[string]string{}, map[string]string{}
		return map[string]any{}, 0, ""
	case "POST registered-models/set-tag":
		f.tags[text("key")] = text("value")
		return map[string]any{}, 0, ""
	}
	return nil, http.StatusNotFound, "ENDPOINT_NOT_FOUND"
}

var runFilter = regexp.MustCompile("^attributes\\.status = 'RUNNING' and tags\\.`([^`]+)` = '([^']*)'$")

func (f *Fake) running(filter string) []any {
	m := runFilter.FindStringSubmatch(filter)
	var out []any
	for id, r := range f.runs {
		if m != nil && r.status == "RUNNING" && r.tags[m[1]] == m[2] {
			out = append(out, map[string]any{"info": map[string]any{"run_id": id}})
		}
	}
	return out
}

func tagsOf(list any) map[string]string {
	out := map[string]string{}
	tags, _ := list.([]any)
	for _, t := range tags {
		if pair, ok := t.(map[string]any); ok {
			key, _ := pair["key"].(string)
			out[key], _ = pair["value"].(string)
		}
	}
	return out
}
