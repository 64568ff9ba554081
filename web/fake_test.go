package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aura/web/api"
)

var then = time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)

// fake is a backend that remembers what it was asked and answers what it is told to.
type fake struct {
	imported    api.ModelImport
	mu          sync.Mutex
	submissions []api.Submission
	changes     []api.Change
	faults      []api.Fault
	pending     bool
	mirrored    *api.Mirror
	rejected    int
	err         error // returned by everything if set
	notReady    string
	mode        string
	overview    api.Overview
	keep        bool // remember submissions
}

func (f *fake) backend() api.Backend {
	return api.Backend{
		Applications: f, Feedback: f, Agents: f, Models: f, Modes: f, Faults: f, Health: f, Overview: f,
		Incidents: f, Signals: f, Approvals: f, Healing: f, Records: f, Operations: f,
	}
}

func decided(id string) api.Record {
	p, ms, at := 0.0931, 1.4, then
	return api.Record{
		ID: "0198a0b0-0000-7000-8000-000000000001", ApplicationID: id, Status: api.StatusDecided, AcceptedAt: then,
		Source: "http", Decision: api.Refer, Probability: &p, ModelVersion: 3, ModelDigest: "9f86d081884c", Mode: api.ModeModel,
		Reasons:   []api.Reason{{Code: "R01", Feature: "debt_ratio", Text: "debt is high compared to income", Contribution: .04}},
		DecidedAt: &at, LatencyMS: &ms,
	}
}

func (f *fake) Rejected(features json.RawMessage) []api.Field {
	f.mu.Lock()
	f.rejected++
	f.mu.Unlock()
	if bytes.Contains(features, []byte(`"bad"`)) {
		return []api.Field{{Field: "bad", Problem: "range"}}
	}
	return nil
}

func (f *fake) Submit(_ context.Context, s api.Submission) (api.Submitted, error) {
	if f.err != nil {
		return api.Submitted{}, f.err
	}
	if f.keep {
		f.mu.Lock()
		f.submissions = append(f.submissions, s)
		f.mu.Unlock()
	}
	id := s.ApplicationID
	if id == "" {
		id = "0198a0b0-0000-7000-8000-000000000001"
	}
	r := decided(id)
	r.TraceID = s.TraceID
	if f.pending || s.Wait == 0 {
		return api.Submitted{Record: api.Record{ID: r.ID, ApplicationID: id, Status: api.StatusPending, AcceptedAt: then}}, nil
	}
	return api.Submitted{Record: r, Decided: true}, nil
}

func (f *fake) Application(_ context.Context, id string) (api.Record, error) {
	if id == "unknown" {
		return api.Record{}, api.Refuse(api.NotFound, "there is no application %q", id)
	}
	return decided(id), f.err
}

func (f *fake) Decisions(_ context.Context, limit int, cursor string) (api.List[api.Record], error) {
	if cursor == "" && f.err == nil {
		return api.List[api.Record]{Items: []api.Record{decided("A-1")}, NextCursor: fmt.Sprintf("after %d", limit)}, nil
	}
	return api.List[api.Record]{}, f.err
}

func (f *fake) AddFeedback(_ context.Context, o api.Outcome) (api.FeedbackResult, error) {
	return api.FeedbackResult{ApplicationID: o.ApplicationID, Kind: "joined", Outcome: o.Outcome}, f.err
}

func (f *fake) Agents(context.Context) ([]api.Agent, error) {
	return []api.Agent{{Name: "model", State: "RUNNING", Incarnation: 2, Since: then, LastBeat: then}}, f.err
}

func (f *fake) Restart(_ context.Context, name string, by api.Change) (api.Agent, error) {
	if name != "model" {
		return api.Agent{}, api.Refuse(api.NotFound, "there is no agent %q", name)
	}
	f.remember(by)
	return api.Agent{Name: name, State: "RUNNING", Incarnation: 3, Since: then, LastBeat: then}, f.err
}

func (f *fake) remember(by api.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, by)
}

func (f *fake) Models(context.Context, int, string) (api.List[api.Model], error) {
	return api.List[api.Model]{Items: []api.Model{{Version: 3, Aliases: []string{"champion"}, CreatedAt: then}}}, f.err
}

func (f *fake) Model(_ context.Context, version int) (api.Model, error) {
	if version != 3 {
		return api.Model{}, api.Refuse(api.NotFound, "there is no version %d", version)
	}
	return api.Model{Version: 3, Aliases: []string{"champion"}, CreatedAt: then}, f.err
}

func (f *fake) Import(_ context.Context, m api.ModelImport) (api.Imported, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.imported = m
	return api.Imported{Version: 4, Champion: 3, Verdict: "PROMOTE", Challenger: true}, f.err
}

func (f *fake) ONNX(_ context.Context, version int) (api.ModelFile, error) {
	if version != 0 && version != 3 {
		return api.ModelFile{}, api.Refuse(api.NotFound, "there is no version %d", version)
	}
	return api.ModelFile{Version: 3, Digest: "9f86d081884c", Content: []byte("\x08\x08onnx")}, f.err
}

func (f *fake) Promote(_ context.Context, version int, by api.Change) (api.Switch, error) {
	if version != 3 {
		return api.Switch{}, api.Refuse(api.Conflict, "version %d doesn't load", version)
	}
	f.remember(by)
	return api.Switch{Version: version, Previous: 2, Digest: "9f86d081884c", Generation: 8}, f.err
}

func (f *fake) Rollback(_ context.Context, by api.Change) (api.Switch, error) {
	f.remember(by)
	return api.Switch{Version: 2, Previous: 3, Digest: "60303ae22b99", Generation: 9}, f.err
}

func (f *fake) Mirror() *api.Mirror { return f.mirrored }

func (f *fake) History(context.Context, int, string) (api.List[api.AliasChange], error) {
	return api.List[api.AliasChange]{Items: []api.AliasChange{{Alias: "champion", Version: 3, Previous: 2, By: "ann", Reason: "better", At: then}}}, f.err
}

func (f *fake) Mode(context.Context) (api.Mode, error) {
	return api.Mode{Mode: api.ModeModel, Generation: 1, Since: then}, f.err
}

func (f *fake) SetMode(_ context.Context, mode string, by api.Change) (api.Mode, error) {
	f.remember(by)
	f.mu.Lock()
	f.mode = mode
	f.mu.Unlock()
	return api.Mode{Mode: mode, Generation: 2, By: by.By, Reason: by.Reason, Since: then}, f.err
}

func (f *fake) Faults(context.Context) ([]api.Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults, f.err
}

func (f *fake) Inject(_ context.Context, r api.FaultRequest) (api.Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := api.Fault{ID: "f1", Target: r.Target, Kind: r.Kind, Delay: r.Delay, FaultChange: r.FaultChange, Share: r.Share, CreatedAt: then, ExpiresAt: then.Add(time.Minute)}
	f.faults = append(f.faults, fault)
	return fault, f.err
}

func (f *fake) Remove(_ context.Context, id string) error {
	if id != "f1" {
		return api.Refuse(api.NotFound, "there is no fault %q", id)
	}
	return f.err
}

func (f *fake) Clear(context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.faults)
	f.faults = nil
	return n, f.err
}

func (f *fake) Ready(context.Context) []api.Check {
	return []api.Check{{Name: "model", OK: f.notReady == "", Reason: f.notReady}}
}

func (f *fake) Overview(context.Context) (api.Overview, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.overview
	if o.At.IsZero() {
		o.At, o.Started = then, then.Add(-time.Hour)
	}
	return o, f.err
}

// newTestServer makes a server over the fake, with every option that tests may change.
func newTestServer(t testing.TB, f *fake, change ...func(*Options)) *Server {
	t.Helper()
	registry := prometheus.NewRegistry()
	o := Options{Backend: f.backend(), Gatherer: registry, Registerer: registry, Version: "test"}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call makes a request as a program on the same machine would.
func call(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader = http.NoBody
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}
