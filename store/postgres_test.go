package store

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
	"aura/store/pgtest"
)

// openServerAt opens the database of an address and closes it with the test.
func openServerAt(t testing.TB, address string) *Store {
	t.Helper()
	return openDir(t, Options{Dir: t.TempDir(), URL: address})
}

// TestPostgres runs all that any database must do on a real server, and what only a server does.
func TestPostgres(t *testing.T) {
	server := pgtest.Start(t, "fsync=off") // no machine stops here; that processes do is tested in app
	template := server.Database(t)
	closeStore(t, openServerAt(t, template))
	open := func(t *testing.T) *Store {
		t.Helper()
		return openServerAt(t, server.DatabaseLike(t, template))
	}
	t.Run("Suite", func(t *testing.T) { suite(t, open) })
	t.Run("Look", func(t *testing.T) {
		c, err := Look(t.Context(), Options{Dir: t.TempDir(), URL: server.DatabaseLike(t, template)})
		if err != nil || c.Schema != c.Newest || c.Newest < 5 || c.Free < 1 || c.Free >= c.Connections || len(c.Careless) != 1 || c.Skew.Abs() > time.Second {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err := Look(t.Context(), Options{Dir: t.TempDir(), URL: server.Database(t)}); err != nil || c.Schema != 0 {
			t.Errorf("without tables: %+v, %v", c, err)
		}
	})
	t.Run("Healing", func(t *testing.T) { healingSuite(t, open) })
	t.Run("Registry", func(t *testing.T) {
		registrytest.Repository(t, func(t *testing.T) registry.Repository { return open(t) })
	})
	t.Run("ModelFiles", func(t *testing.T) {
		registrytest.Shared(t, func(t *testing.T) [2]registry.Repository {
			address := server.DatabaseLike(t, template)
			return [2]registry.Repository{openServerAt(t, address), openServerAt(t, address)}
		})
	})
	t.Run("StateMachine", func(t *testing.T) {
		f := flag.Lookup("rapid.checks")
		if f.Value.String() == f.DefValue {
			must(t, f.Value.Set("8"))
			defer func() { must(t, f.Value.Set(f.DefValue)) }()
		}
		rapid.Check(t, func(r *rapid.T) {
			runMachine(r, Options{Dir: t.TempDir(), URL: server.DatabaseLike(t, template)})
		})
	})
	for name, test := range map[string]func(*testing.T, *pgtest.Server){
		"Psql": testPsql, "QueryRefuses": testServerQueryRefuses, "NoText": testNoText, "PasswordIsTold": testPasswordIsNowhere,
		"HalfAModelFile": testHalfAModelFile, "Scratch": testScratch, "Settings": testServerSettings,
		"TwoProcessesStart": testTwoProcessesStart, "TwoProcessesDecideOnce": testTwoProcessesDecideOnce, "TwoProcessesOneFence": testTwoProcessesOneFence,
		"TwoProcessesAddUp": testTwoProcessesAddUp, "TwoProcessesOneWinner": testTwoProcessesOneWinner, "TwoProcessesOneLease": testTwoProcessesOneLease, "TwoProcessesOneFloor": testTwoProcessesOneFloor,
		"FrozenTransaction": testFrozenTransaction, "AChangeWaitsForDecisions": testAChangeWaitsForDecisions,
	} {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

// testPsql runs the queries of people with the real psql.
func testPsql(t *testing.T, server *pgtest.Server) {
	address := server.Database(t)
	s := openServerAt(t, address)
	e := incidentsOfPeople(t, s)
	for _, c := range []struct{ query, want string }{
		{
			`SELECT incident_id, incident_type, status, detected_at FROM incidents ORDER BY detected_at DESC LIMIT 10;`,
			"i3|AGENT_DOWN|OPEN|2023-11-14 22:13:22.123456+00\ni2|LATENCY_SLO_BREACH|RESOLVED|2023-11-14 22:13:21.123456+00\n" +
				"i1|LATENCY_SLO_BREACH|RESOLVED|2023-11-14 22:13:20.123456+00",
		},
		{
			`SELECT incident_id, action_type, agl_decision, executed_at FROM healing_actions ORDER BY executed_at DESC LIMIT 10;`,
			"i3|ENABLE_SAFE_MODE|PENDING|\ni3|ENABLE_SAFE_MODE|PENDING|" + strings.TrimRight(e.At.Format("2006-01-02 15:04:05.000000"), "0") + "+00",
		},
		{
			`SELECT incident_type, AVG(EXTRACT(EPOCH FROM (resolved_at - detected_at))) FROM incidents WHERE status = 'RESOLVED' GROUP BY incident_type;`,
			"LATENCY_SLO_BREACH|2.7500000000000000",
		},
		{`SELECT count(*) FROM incidents WHERE incident_type='LATENCY_SLO_BREACH';`, "2"},
	} {
		equal(t, c.query, server.Psql(t, address, "SET timezone = 'UTC'; "+c.query), c.want)
	}
	if tables := server.Psql(t, address, `\dt`); !strings.Contains(tables, "public|healing_actions|table|"+pgtest.Role) {
		t.Errorf("\\dt shows %s", tables)
	}
	r := query(t, s, "SELECT incident_id, detected_at, degraded, EXTRACT(EPOCH FROM (resolved_at - detected_at)) AS s FROM incidents WHERE incident_id = 'i1'")
	equal(t, "as values", r.Rows, [][]any{{"i1", "2023-11-14T22:13:20.123456Z", false, 2.0}})
}

func testServerQueryRefuses(t *testing.T, server *pgtest.Server) {
	s := openServerAt(t, server.Database(t))
	for _, text := range []string{
		"DELETE FROM audit", "WITH gone AS (DELETE FROM decisions RETURNING id) SELECT * FROM gone", "SELECT 1; DELETE FROM decisions",
		"EXPLAIN ANALYZE DELETE FROM decisions", "SELECT pg_sleep(1)", `SELECT "pg_advisory_lock"(1)`, "SELECT set_config('a.b', 'c', false)",
		"SELECT nextval('feedback_id_seq')", "SELECT query_to_xml('SELECT 1', true, true, '')", `SELECT U&"\0070g_sleep"(1)`,
		"SELECT * FROM decisions FOR UPDATE", "SELECT * INTO mine FROM decisions", "SELECT nothing", "SELECT lo_import('/etc/passwd')", "SELECT $1",
	} {
		_, err := s.ReadOnlyQuery(t.Context(), text, 10)
		code(t, err, CodeQuery)
	}
	if os.Getenv("CI") != "" { // it takes its five seconds
		_, err := s.ReadOnlyQuery(t.Context(), "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 100) b", 10)
		code(t, err, CodeQueryLimit)
	}
	r, err := s.ReadOnlyQuery(t.Context(), "SELECT n FROM generate_series(1, 20) n", 3)
	must(t, err)
	equal(t, "truncated", [2]any{len(r.Rows), r.Truncated}, [2]any{3, true})
}

// testNoText: what PostgreSQL can't hold is refused before it fails what others write with it.
func testNoText(t *testing.T, server *pgtest.Server) {
	s := openServerAt(t, server.Database(t))
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		_, err := s.Accept(t.Context(), []Application{app(t, bad, "1")})
		code(t, err, CodeInvalid)
		_, err = s.AddFeedback(t.Context(), []Feedback{outcome(bad, Repaid)})
		code(t, err, CodeInvalid)
		_, err = s.SetMode(t.Context(), ModeSafe, "ann", bad)
		code(t, err, CodeInvalid)
	}
	accept(t, s, app(t, "fine", "1"))
}

// testPasswordIsNowhere: no error holds the password or a part of it.
func testPasswordIsNowhere(t *testing.T, server *pgtest.Server) {
	u, err := url.Parse(server.Database(t))
	must(t, err)
	const secret = "s3cr3t"
	wrong := *u
	wrong.User = url.UserPassword(pgtest.Role, secret)
	nobody := wrong
	nobody.Host = "127.0.0.1:1"
	for _, address := range []string{
		wrong.String(), nobody.String(), "postgres://u:" + secret + "%zz@h/d", "postgres://u:" + secret + "@h:port/d", "postgres://u:" + secret + "@h/d?sslmode=" + secret,
	} {
		_, err := Open(t.Context(), Options{Dir: t.TempDir(), URL: address})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

// testScratch: a scratch place is empty, apart from the rest, and goes with all that is in it.
func testScratch(t *testing.T, server *pgtest.Server) {
	address := server.Database(t)
	s := openServerAt(t, address)
	accept(t, s, app(t, "one", "1"))
	place, remove, err := Scratch(t.Context(), address)
	must(t, err)
	in := openServerAt(t, place)
	accept(t, in, app(t, "one", "2"), app(t, "two", "2"))
	c, err := s.Counts(t.Context())
	must(t, err)
	equal(t, "rows beside it", c.Applications, int64(1))
	closeStore(t, in)
	must(t, remove(t.Context()))
	equal(t, "schemas", server.Psql(t, address, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'aura%'"), "0")
}

// testHalfAModelFile: what a killed process has begun to save is no file, until it is saved whole.
func testHalfAModelFile(t *testing.T, server *pgtest.Server) {
	s, ctx := two(t, server), t.Context()
	data := make([]byte, 2*modelPart+1)
	data[2*modelPart] = 7
	for _, killedAt := range []int{1, 2} {
		digest := fmt.Sprint(killedAt)
		_, err := s[0].CreateVersion(ctx, registry.Version{Number: killedAt, Digest: digest, SchemaDigest: "s", SchemaName: "s", File: digest, CreatedBy: "ann"})
		must(t, err)
		for part := range killedAt {
			must(t, s[0].w.do(ctx, func(t *tx) error {
				return t.w.exec(sqlSavePart, digest, part, 3, data[part*modelPart:(part+1)*modelPart])
			}))
		}
		_, err = s[1].File(ctx, digest)
		equal(t, "half of it", errors.Is(err, registry.ErrNotFound), true)
		unsaved, err := s[1].Unsaved(ctx)
		must(t, err)
		equal(t, "unsaved", [2]int{len(unsaved), unsaved[0].Number}, [2]int{1, killedAt})
		must(t, s[1].SaveFile(ctx, digest, data))
		got, err := s[0].File(ctx, digest)
		must(t, err)
		equal(t, "all of it", bytes.Equal(got, data), true)
	}
	unsaved, err := s[0].Unsaved(ctx)
	must(t, err)
	equal(t, "unsaved", len(unsaved), 0)
}

// testServerSettings: what was answered is on disk whatever the role's default says.
func testServerSettings(t *testing.T, server *pgtest.Server) {
	address := server.Database(t)
	server.Psql(t, address, "ALTER ROLE "+pgtest.Role+" SET synchronous_commit = off")
	defer server.Psql(t, address, "ALTER ROLE "+pgtest.Role+" RESET synchronous_commit")
	s := openServerAt(t, address)
	must(t, s.w.do(context.Background(), func(tx *tx) error {
		var commit, isolation string
		_, err := tx.w.row("SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')", nil, &commit, &isolation)
		equal(t, "settings", [2]string{commit, isolation}, [2]string{"on", "read committed"})
		return err
	}))
}
