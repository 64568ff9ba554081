package store

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The queries that people run, word for word; the third with SQLite's functions.
const (
	queryIncidents = `SELECT incident_id, incident_type, status, detected_at FROM incidents ORDER BY detected_at DESC LIMIT 10;`
	queryActions   = `SELECT incident_id, action_type, agl_decision, executed_at FROM healing_actions ORDER BY executed_at DESC LIMIT 10;`
	queryMTTR      = `SELECT incident_type, AVG((julianday(resolved_at) - julianday(detected_at)) * 86400) FROM incidents WHERE status = 'RESOLVED' GROUP BY incident_type;`
)

func query(t *testing.T, s *Store, text string) QueryResult {
	t.Helper()
	r, err := s.ReadOnlyQuery(t.Context(), text, 100)
	must(t, err)
	return r
}

func TestThreeQueries(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	e := incidentsOfPeople(t, s)

	equal(t, "incidents", query(t, s, queryIncidents), QueryResult{
		Columns: []string{"incident_id", "incident_type", "status", "detected_at"},
		Rows: [][]any{
			{"i3", "AGENT_DOWN", "OPEN", "2023-11-14T22:13:22.123456Z"},
			{"i2", "LATENCY_SLO_BREACH", "RESOLVED", "2023-11-14T22:13:21.123456Z"},
			{"i1", "LATENCY_SLO_BREACH", "RESOLVED", "2023-11-14T22:13:20.123456Z"},
		},
	})
	equal(t, "actions", query(t, s, queryActions).Rows, [][]any{
		{"i3", "ENABLE_SAFE_MODE", "PENDING", e.At.Format(stampLayout)}, {"i3", "ENABLE_SAFE_MODE", "PENDING", nil},
	})
	r := query(t, s, queryMTTR)
	equal(t, "kinds", len(r.Rows), 1)
	equal(t, "kind", r.Rows[0][0], any("LATENCY_SLO_BREACH"))
	// julianday is a float of days: good to about 0.1 ms.
	if avg, ok := r.Rows[0][1].(float64); !ok || math.Abs(avg-2.75) > 1e-3 {
		t.Fatalf("average %v", r.Rows[0][1])
	}
	equal(t, "strftime", query(t, s, "SELECT strftime('%s', detected_at) FROM incidents WHERE incident_id = 'i1'").Rows[0][0], any("1700000000"))
}

// incidentsOfPeople are what the queries of people are asked about: two resolved after 2 and 3.5 s, and an open one with two
// actions, of which the second was executed as returned.
func incidentsOfPeople(t *testing.T, s *Store) Effect {
	t.Helper()
	epoch := healer(t, s)
	for i, took := range []time.Duration{2 * time.Second, 3500 * time.Millisecond} {
		row := incident([]string{"i1", "i2"}[i], "f", i)
		row.Status, row.ResolvedAt = IncidentResolved, row.DetectedAt.Add(took)
		save(t, s, epoch, row, IncidentWrites{})
	}
	open := incident("i3", "f", 2)
	open.Type = "AGENT_DOWN"
	save(t, s, epoch, open, IncidentWrites{Actions: []ActionRow{action("a1", "i3"), action("a2", "i3")}})
	e, err := s.SetModeByAction(t.Context(), proof("a2", epoch), ModeSafe, "")
	must(t, err)
	return e
}

func TestQueryRefuses(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	healer(t, s)
	outside := filepath.Join(t.TempDir(), "x.db")
	for _, q := range []string{
		"", ";", "-- nothing\n", "/* nothing",
		"DELETE FROM leases", "UPDATE leases SET epoch = 9", "INSERT INTO leases SELECT * FROM leases", "DROP TABLE leases",
		"CREATE TABLE x (y)", "CREATE TEMP TABLE x (y)", "PRAGMA query_only = 0", "ATTACH '" + outside + "' AS x",
		"VACUUM INTO '" + outside + "'", "VACUUM", "BEGIN", "COMMIT", "REINDEX", "ANALYZE",
		"WITH x AS (SELECT 1) DELETE FROM leases", "WITH x AS (SELECT 1) UPDATE leases SET epoch = 9",
		"EXPLAIN DELETE FROM leases",
		"SELECT 1; SELECT 2", "SELECT 1; DELETE FROM leases", "SELECT 1; -- x\n DELETE FROM leases", "SELECT 1/*;*/; DELETE FROM leases",
		"SELECT ';' ; DELETE FROM leases", "SELECT load_extension('x')", "SELECT * FROM pragma_query_only(0)",
		"SELECT * FROM nothing", "SELECT randomblob(900000000)", "SELEC 1", "SELECT ?",
	} {
		_, err := s.ReadOnlyQuery(t.Context(), q, 10)
		var refused *Refused
		if !errors.As(err, &refused) || refused.Code != CodeQuery {
			t.Errorf("%q: got %v", q, err)
		}
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("a query made a file")
	}
	l, err := s.LeaseOf(t.Context(), LeaseHealing)
	must(t, err)
	equal(t, "untouched", l.Epoch, int64(1))
}

func TestQueryTakes(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	for q, want := range map[string]any{
		"SELECT 1": int64(1),
		" \n-- a comment; with a semicolon\nSELECT 2;;  ;":                                   int64(2),
		"/* ; */ select ';' || \"value\" FROM desired_state WHERE setting = 'mode' -- ; end": ";MODEL",
		"SELECT 'it''s; fine'": "it's; fine",
		"VALUES (1.5)":         1.5,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT SUM(i) FROM n": int64(55),
		"SELECT NULL":    nil,
		"SELECT x'ff00'": "ff00",
		"SELECT count(*) FROM sqlite_master WHERE name = 'audit'": int64(1),
	} {
		equal(t, q, query(t, s, q).Rows, [][]any{{want}})
	}
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
	r, err := s.ReadOnlyQuery(t.Context(), endless, 3)
	must(t, err)
	equal(t, "limited", r, QueryResult{Columns: []string{"i"}, Rows: [][]any{{int64(1)}, {int64(2)}, {int64(3)}}, Truncated: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.ReadOnlyQuery(ctx, "SELECT COUNT(*) FROM ("+endless+")", 3)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

// TestQueryOfADirectory: beside a process that has the directory, and when none has.
func TestQueryOfADirectory(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	healer(t, s)
	for _, who := range []string{"beside", "alone"} {
		r, err := Query(t.Context(), Options{Dir: s.Dir()}, "SELECT epoch FROM leases", 1)
		must(t, err)
		equal(t, who, r.Rows, [][]any{{int64(1)}})
		closeStore(t, s)
	}
	again := openDir(t, Options{Dir: s.Dir()})
	equal(t, "a query leaves no trace", again.Unclean(), false)
	if _, err := Query(t.Context(), Options{Dir: t.TempDir()}, "SELECT 1", 1); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func FuzzScanQuery(f *testing.F) {
	for _, q := range []string{"SELECT 1", "SELECT ';'", "--\n;", "/*", "[", "'", "é;é", ";;"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		word, n := scanQuery(q)
		if (n == 0 && word != "") || n > len(q) {
			t.Fatalf("%q: %q, %d statements", q, word, n)
		}
	})
}

// TestQueryOfInfinity: what SQL can compute and JSON can't say comes as text.
func TestQueryOfInfinity(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	r, err := s.ReadOnlyQuery(t.Context(), "-- mine\nSELECT 1e400, -1e400, 1.5", 1)
	must(t, err)
	if got := r.Rows[0]; got[0] != "Inf" || got[1] != "-Inf" || got[2] != 1.5 {
		t.Errorf("%v", got)
	}
}
