//go:build linux

package app_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/agents/bus/kafkatest"
	"aura/store/pgtest"
	"aura/store/proxytest"
)

// stack is one process on a real broker and a real database server, each behind a network that fails, with a crowd of applicants.
type stack struct {
	t                 *testing.T
	dir               string
	broker            *kafkatest.Broker
	server            *pgtest.Server
	brokers, database *proxytest.Proxy
	p                 *process
	db                *sql.DB // past the network
	crowd             *crowd
	leave             func() // ends the crowd, once every answer is there
}

// crowdRate is how many come a second.
const crowdRate = 50

func newStack(t *testing.T, args ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), brokers: proxytest.Start(t), database: proxytest.Start(t)}
	s.broker = kafkatest.Start(t, kafkatest.Behind(s.brokers.Addr()))
	s.brokers.To(s.broker.Inner())
	s.server = pgtest.Start(t)
	s.database.To(s.server.Addr())
	address := s.server.Database(t)
	servers.Store(s.dir, address)
	trainTwo(t, s.dir)
	s.db = database(t, s.dir)
	servers.Store(s.dir, strings.Replace(address, s.server.Addr(), s.database.Addr(), 1))
	buses.Store(s.dir, []string{"--bus", "kafka", "--brokers", s.brokers.Addr(), "--set", fmt.Sprintf("kafka.prefix=t%d-", prefixes.Add(1))})
	s.p = start(t, s.dir, args...)
	s.crowd = newCrowd(s.p.base)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.crowd.come(ctx, crowdRate) })
	s.leave = func() { cancel(); running.Wait() }
	t.Cleanup(s.leave)
	t.Cleanup(s.tell)
	s.p.well(t)
	return s
}

// tell shows after a failure what there was.
func (s *stack) tell() {
	if !s.t.Failed() {
		return
	}
	_, answers := s.crowd.told()
	s.t.Logf("answers last %s; undecided %d; incidents: %s", answers, s.undecided(), s.incidents())
	for _, path := range []string{"signals", "agents", "overview"} {
		var seen json.RawMessage
		_, err := call(http.MethodGet, s.p.base+"/api/v1/"+path, nil, &seen)
		s.t.Logf("%s: %s, %v", path, seen, err)
	}
	s.t.Logf("the log ends with\n%s", tail(s.p.out.String(), 80))
}

// undecided counts what is committed and not decided; -1 while the server is away.
func (s *stack) undecided() (n int) {
	if s.db.QueryRow("SELECT COUNT(*) FROM applications a WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = a.id)").Scan(&n) != nil {
		return -1
	}
	return n
}

// outage lets something fail, for a while, and measures how the service comes back by itself: within so much time somebody must
// be told a decision at once again. It returns how many were answered meanwhile, by status.
func (s *stack) outage(name string, lasts, within time.Duration, fail, mend func()) map[int]int {
	t := s.t
	t.Helper()
	s.crowd.told()
	fail()
	begun, spent := time.Now(), s.p.spent(t)
	time.Sleep(lasts) // the outage is what is tested
	cores := (s.p.spent(t) - spent).Seconds() / time.Since(begun).Seconds()
	backlog := s.undecided()
	answers, meanwhile := s.crowd.told()
	mend()
	back, decided := time.Now(), s.crowd.decided.Load()
	until(t, within, name+": somebody is told a decision at once", func() string {
		if s.crowd.decided.Load() == decided {
			return fmt.Sprintf("nobody; %d are undecided", s.undecided())
		}
		return ""
	})
	first := time.Since(back)
	until(t, within+time.Minute, name+": the backlog is decided", func() string {
		if n := s.undecided(); n < 0 || n > crowdRate/2 {
			return fmt.Sprint(n)
		}
		return ""
	})
	t.Logf("%s for %v: answers meanwhile %s; undecided %d; %.2f cores; first decision %v after it was over, backlog gone after %v", name, lasts,
		meanwhile, backlog, cores, first.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	s.p.well(t)
	return answers
}

// incidents says what there is and what was done about it.
func (s *stack) incidents() string {
	s.t.Helper()
	list, err := texts(s.db, `SELECT i.detected_at || ' ' || i.fingerprint || ' ' || i.state || ', ' || COALESCE(i.document::json->'seen'->>'words', '') ||
		COALESCE((SELECT ': ' || string_agg(a.action_type || ' ' || a.result, ', ') FROM healing_actions a WHERE a.incident_id = i.incident_id), '')
		FROM incidents i ORDER BY i.detected_at`)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(list, "; ")
}

// spent is the CPU time that the process has used.
func (p *process) spent(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on; the name may hold anything
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}

// end stops the process and judges the whole run: a person was told, nothing was done, nothing is lost or decided twice.
func (s *stack) end() {
	t := s.t
	t.Helper()
	defer func() { t.Logf("incidents: %s", s.incidents()) }()
	until(t, time.Minute, "the end of each incident", func() string {
		open, err := openIncidents(s.db)
		if err != nil {
			return err.Error()
		}
		return open
	})
	s.leave()
	resent := s.crowd.again(t)
	if kinds := nothingWasDone(t, s.p, s.db); !slices.Contains(kinds, "BUS_DOWN") {
		t.Errorf("incidents of %q: nobody was told", kinds)
	}
	t.Logf("%d came, %d were sent again after they had been turned away", s.crowd.n.Load(), resent)
	// What was committed as the database went away, and answered to nobody, is adopted after a minute, or by the next start.
	p := start(t, s.dir)
	until(t, 30*time.Second, "a decision for what nobody followed", func() string { return strings.Join(undecided(t, s.db), "") })
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	checkBook(t, s.dir, s.crowd.book)
	checkHealing(t, s.dir)
}

// TestNetworkToTheBus fails the network between the process and its broker in every way that networks fail, under load.
func TestNetworkToTheBus(t *testing.T) {
	s := newStack(t)
	const lasts, soon = 10 * time.Second, 10 * time.Second
	for _, c := range []struct {
		name string
		fail func()
	}{
		{"cut", s.brokers.Cut},
		{"silent", s.brokers.Silence},
		{"dripping", func() { s.brokers.Slow(0, 1000) }},
	} {
		answers := s.outage("broker "+c.name, lasts, soon, c.fail, s.brokers.Pass)
		if n := answers[http.StatusServiceUnavailable]; n > 0 {
			t.Errorf("%s: %d were answered 503 although the database was there", c.name, n)
		}
	}
	// Nothing tells that these connections are dead but that they don't answer.
	s.outage("broker forgotten", 0, 20*time.Second, s.brokers.Forget, s.brokers.Pass)
	s.end()
}

// TestNetworkToTheDatabase does the same between the process and its database server, and kills that: nobody is told to be accepted
// who isn't, and nobody waits for long.
func TestNetworkToTheDatabase(t *testing.T) {
	s := newStack(t)
	for _, c := range []struct {
		name       string
		lasts      time.Duration
		fail, mend func()
	}{
		{"cut", 10 * time.Second, s.database.Cut, s.database.Pass},
		{"killed", 10 * time.Second, func() { s.server.Kill(t) }, func() { s.server.Restart(t) }},
		{"silent", 20 * time.Second, s.database.Silence, s.database.Pass}, // longer than anybody waits
		{"dripping", 10 * time.Second, func() { s.database.Slow(0, 1000) }, s.database.Pass},
	} {
		answers := s.outage("database "+c.name, c.lasts, 10*time.Second, c.fail, c.mend)
		if answers[http.StatusServiceUnavailable] == 0 && c.lasts > answersWithin || answers[http.StatusOK] > crowdRate {
			t.Errorf("%s: answered %v without a database", c.name, answers)
		}
		if n := answers[http.StatusAccepted]; n > 3*crowdRate { // who was committed before, and not decided any more
			t.Errorf("%s: %d were answered 202 without a database", c.name, n)
		}
	}
	// A transaction that the server waits for, and a connection of which nothing tells that it is dead.
	s.outage("database forgotten", 0, 30*time.Second, s.database.Forget, s.database.Pass)
	s.end()
}

// TestOutageOfTheBus kills the broker under load and leaves it away for AURA_OUTAGE (60 s): who comes is taken in until the window
// is full, then turned away; afterwards everything goes on by itself. A minute fills a small window, ten minutes the default one.
func TestOutageOfTheBus(t *testing.T) {
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("AURA_OUTAGE"), "60s"))
	if err != nil {
		t.Fatal(err)
	}
	window := 10_000
	if most := int(lasts.Seconds()) * crowdRate / 2; most < window {
		window = most
	}
	s := newStack(t, "--set", fmt.Sprintf("admission.window=%d", window))
	within := 10*time.Second + time.Duration(window)*5*time.Millisecond // who comes then stands behind the backlog
	answers := s.outage("broker killed", lasts, within, func() { s.broker.Kill(t) }, func() { s.broker.Restart(t) })
	if n := answers[http.StatusAccepted]; n < window/2 || n > window || answers[http.StatusTooManyRequests] == 0 || answers[http.StatusServiceUnavailable] > 0 {
		t.Errorf("answers %v, the window has %d places", answers, window)
	}
	s.end()
}
