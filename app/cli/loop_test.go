package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aura/app/config"
	"aura/web/api"
)

func ptr[T any](v T) *T { return &v }

func TestABrokenAuditIsAFailureThatNamesTheRecord(t *testing.T) {
	url, _ := answering(t, 200, "application/json", marshal(t, api.AuditReport{Records: 41, Broken: 42, Problem: "its hash is another"}))
	o := try(t, Commands{}, nil, "audit", "verify", "--server", url)
	if o.code != ExitFailure || !strings.Contains(o.err, "record 42: its hash is another") || !strings.Contains(o.err, "41 records before it hold") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

// Where no server runs, query and audit verify read the data directory; where one is named, they don't.
func TestStoredCommandsReadTheDirectoryIfNoServerRuns(t *testing.T) {
	dir := t.TempDir()
	var asked []string
	commands := Commands{
		Query: func(_ context.Context, c config.Config, sql string, limit int) (api.QueryResult, error) {
			asked = append(asked, c.Data.Dir, sql)
			return api.QueryResult{Columns: []string{"n"}, Rows: [][]any{{int64(limit)}}}, nil
		},
		VerifyAudit: func(_ context.Context, c config.Config) (api.AuditReport, error) {
			asked = append(asked, c.Data.Dir)
			return api.AuditReport{Broken: 7, Problem: "gone"}, nil
		},
	}
	if o := try(t, commands, nil, "query", "SELECT 1", "--limit", "9", "--data", dir); o.code != 0 || !strings.Contains(o.out, "9") || strings.Join(asked, " ") != dir+" SELECT 1" {
		t.Errorf("query: exit %d, asked %q: %s%s", o.code, asked, o.out, o.err)
	}
	asked = nil
	if err := os.WriteFile(filepath.Join(dir, AddressFile), []byte("127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := try(t, commands, nil, "audit", "verify", "--data", dir); o.code != ExitFailure || len(asked) != 1 || !strings.Contains(o.err, "record 7") || !strings.Contains(o.err, "doesn't answer") {
		t.Errorf("audit verify: exit %d, asked %q: %s", o.code, asked, o.err)
	}
	asked = nil
	for _, args := range [][]string{{"query", "SELECT 1", "--server", "127.0.0.1:1"}, {"audit", "verify", "--server", "127.0.0.1:1"}} {
		if o := try(t, commands, nil, args...); o.code != ExitUnreachable || len(asked) != 0 {
			t.Errorf("%v: exit %d, asked %q: %s", args, o.code, asked, o.err)
		}
	}
}

func TestLoopCommandLines(t *testing.T) {
	for _, args := range []string{
		"approval approve r-1", "approval deny --reason x", "heal pause", "incident show", "incident graph --format png", "incident ls --limit 0", "query", "drift", "memory ls 3",
	} {
		if o := try(t, Commands{}, []string{"AURA_SERVER=127.0.0.1:1"}, strings.Fields(args)...); o.code != ExitUsage {
			t.Errorf("%s: exit %d: %s", args, o.code, o.err)
		}
	}
}

func TestGraphIsPrintedAsItCame(t *testing.T) {
	url, got := answering(t, 200, "text/vnd.graphviz", "digraph incident {\n}\n")
	if o := try(t, Commands{}, nil, "incident", "graph", "--format", "dot", "--server", url); o.code != 0 || o.out != "digraph incident {\n}\n" || (*got)[0].path != "/api/v1/incidents/graph?format=dot" {
		t.Errorf("exit %d: %q %v", o.code, o.out, *got)
	}
}

// watch waits for an incident, prints each step once, and its exit code says how it ended.
func TestWatchFollowsTheNextIncident(t *testing.T) {
	for _, test := range []struct {
		status string
		code   int
	}{{"RESOLVED", 0}, {"FAILED", ExitFailure}} {
		var calls atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			n := calls.Add(1)
			d := api.IncidentDetail{Incident: api.Incident{ID: "i-9", Status: "MITIGATING", DetectedAt: time.Unix(1000, 0)}}
			switch {
			case r.URL.Path == "/api/v1/incidents" && n < 3:
				_, _ = w.Write([]byte(`{"items":[]}`))
				return
			case r.URL.Path == "/api/v1/incidents":
				_, _ = w.Write([]byte(marshal(t, api.List[api.Incident]{Items: []api.Incident{d.Incident}})))
				return
			}
			d.Timeline = []api.TimelineStep{{Seq: 0, State: "DETECTED", Text: "first"}}
			if n > 5 {
				d.Status, d.Timeline = test.status, append(d.Timeline, api.TimelineStep{Seq: 1, State: test.status, Text: "second"})
			}
			_, _ = w.Write([]byte(marshal(t, d)))
		}))
		o := try(t, Commands{}, nil, "incident", "watch", "--server", server.URL)
		server.Close()
		if o.code != test.code || strings.Count(o.out, "first") != 1 || strings.Count(o.out, "second") != 1 {
			t.Errorf("%s: exit %d: %s%s", test.status, o.code, o.out, o.err)
		}
	}
	url, _ := answering(t, 200, "application/json", `{"items":[]}`)
	if o := try(t, Commands{}, nil, "incident", "watch", "--for", "30ms", "--server", url); o.code != ExitTimeout || !strings.Contains(o.err, "--for") {
		t.Errorf("no incident: exit %d: %s", o.code, o.err)
	}
}

// What came back is told from there on, and counted from its own onset.
func TestWatchBeginsWhereAnIncidentCameBack(t *testing.T) {
	at := time.Unix(1000, 0)
	d := api.IncidentDetail{Incident: api.Incident{ID: "i-9", Status: "RESOLVED", OnsetAt: at.Add(45 * time.Second), DetectedAt: at.Add(46 * time.Second)}}
	d.Timeline = []api.TimelineStep{
		{Seq: 1, At: at, State: "SUSPECTED", Text: "old"},
		{Seq: 2, At: at, From: "SUSPECTED", State: "DETECTED", Text: "old"},
		{Seq: 3, At: at.Add(20 * time.Second), From: "DETECTED", State: "RESOLVED", Text: "old"},
		{Seq: 4, At: d.DetectedAt, From: "RESOLVED", State: "DETECTED", Text: "it came back"},
		{Seq: 5, At: at.Add(50 * time.Second), From: "ESCALATED", State: "DETECTED", Text: "ann starts the ladder again"},
	}
	url, _ := answering(t, 200, "application/json", marshal(t, d))
	o := try(t, Commands{}, nil, "incident", "watch", "i-9", "--server", url)
	if o.code != 0 || strings.Contains(o.out, "old") || strings.Contains(o.out, "-") || !strings.Contains(o.out, "+1.0s") || !strings.Contains(o.out, "+5.0s") {
		t.Errorf("exit %d:\n%s%s", o.code, o.out, o.err)
	}
	d.Timeline = d.Timeline[:2]
	d.OnsetAt, d.DetectedAt = at, at
	url, _ = answering(t, 200, "application/json", marshal(t, d))
	if o := try(t, Commands{}, nil, "incident", "watch", "i-9", "--server", url); strings.Count(o.out, "old") != 2 {
		t.Errorf("the first time:\n%s%s", o.out, o.err)
	}
}
