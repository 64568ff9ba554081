package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/store/pgtest"
)

// onServer makes a data directory whose rows are in an empty database of a server.
func onServer(t *testing.T, s *pgtest.Server) string {
	t.Helper()
	dir := t.TempDir()
	servers.Store(dir, s.Database(t))
	return dir
}

// TestPostgres runs the real program on a real server: killed itself, with the server killed under it, and healing.
func TestPostgres(t *testing.T) {
	rounds := 1
	if os.Getenv("AURA_KILLS") != "" {
		rounds = kills(t)
	}
	t.Run("Kill", func(t *testing.T) {
		server := pgtest.Start(t)
		killUnderLoad(t, onServer(t, server), "memory", rounds)
	})
	t.Run("ServerKilled", func(t *testing.T) {
		t.Helper()
		serverKilled(t, rounds)
	})
	if os.Getenv("AURA_KILLS") == "" {
		return // the rest takes longer: .ci/run postgres
	}
	t.Run("NothingToHeal", func(t *testing.T) {
		t.Parallel()
		nothingToHeal(t)
	})
	t.Run("Demo", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t)
		address := server.Database(t)
		var out safeBuffer
		if code := program([]string{"demo", "latency", "--db", address}, &out, &out); code != 0 {
			t.Errorf("exit %d\n%s", code, &out)
		}
		if strings.Contains(out.String(), "ss word") || strings.Contains(out.String(), "ss%20word") {
			t.Error("the password is in the output")
		}
		if n := server.Psql(t, address, "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'aura%'"); n != "0" {
			t.Errorf("%s schemas are left", n)
		}
	})
}

// serverKilled kills the server under load, again and again. While it is away nothing is accepted (503, or no answer in
// time); when it is back everything goes on by itself, and nothing that was answered is lost or decided twice.
func serverKilled(t *testing.T, rounds int) {
	server := pgtest.Start(t)
	dir := onServer(t, server)
	trainTwo(t, dir)
	const seed = 3
	t.Logf("seed %d, %d kills of the server, %d clients", seed, rounds, clients)
	run := &killRun{book: newBook(), random: rand.New(rand.NewPCG(seed, 2))}
	p := start(t, dir, "--set", "healing.enabled=false") // these applications are no population that the model knows
	run.base.Store(&p.base)
	var load sync.WaitGroup
	for c := range clients {
		load.Go(func() { run.client(c) })
	}
	var longest time.Duration
	for n := range rounds {
		run.wait(t, 100+run.random.IntN(400))
		server.Kill(t)
		refusedWhileAway(t, p.base, n)
		answered := run.acked.Load()
		server.Restart(t)
		back := time.Now()
		for run.acked.Load() == answered && time.Since(back) < time.Minute {
			time.Sleep(time.Millisecond) // nothing signals the first answer
		}
		longest = max(longest, time.Since(back))
		run.wait(t, 200)
	}
	run.stop.Store(true)
	load.Wait()
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	t.Logf("%d applications answered, %d sent again; first answer at most %v after the server was ready", run.acked.Load(), run.resent.Load(), longest.Round(time.Millisecond))
	checkBook(t, dir, run.book)
	if strings.Contains(p.out.String(), "ss word") || strings.Contains(p.out.String(), "ss%20word") {
		t.Error("the password is in the log")
	}
}

// refusedWhileAway expects 503 with Retry-After, and no acceptance.
func refusedWhileAway(t *testing.T, base string, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(n), 9))
	for i := range 3 {
		body := map[string]any{"application_id": fmt.Sprintf("away%d-%d", n, i), "features": randomFeatures(random)}
		status, err := call(http.MethodPost, base+"/api/v1/applications", body, nil)
		if err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("without a database an application was answered with %d, %v; want 503", status, err)
		}
	}
}

// nothingToHeal takes the server away for longer than an incident needs to open, under the simulator's load: a person is
// told that the store is away and that it is back, and no action is taken.
func nothingToHeal(t *testing.T) {
	server := pgtest.Start(t)
	dir := onServer(t, server)
	trainTwo(t, dir)
	p := start(t, dir, "--simulate", "50")
	p.well(t)
	server.Kill(t)
	until(t, 30*time.Second, "unready while the database is away", func() string {
		if r, err := http.Get(p.base + "/readyz"); err == nil {
			defer r.Body.Close()
			if r.StatusCode == http.StatusServiceUnavailable {
				return ""
			}
		}
		return "ready"
	})
	time.Sleep(8 * time.Second) // the outage is what is tested
	server.Restart(t)
	p.well(t)
	db := database(t, dir)
	until(t, 30*time.Second, "the end of each incident", func() string {
		open, err := openIncidents(db)
		if err != nil {
			return err.Error()
		}
		return open
	})
	t.Logf("incidents: %s", nothingWasDone(t, p, db))
	// What was committed as the server died, and answered to nobody, is adopted after a minute, or by the next start.
	p = start(t, dir)
	until(t, 30*time.Second, "a decision for what nobody followed", func() string {
		return strings.Join(undecided(t, db), "")
	})
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	checkBook(t, dir, newBook())
	checkHealing(t, dir)
}
