//go:build linux

package app_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aura/agents/bus/kafkatest"
	"aura/store/pgtest"
)

// deployment is several processes on one broker and one database server, each with a data directory of its own.
type deployment struct {
	t      *testing.T
	place  []string // arguments that all have: where bus and database are
	server string
	dirs   map[string]string
	agents map[string]string
	args   map[string][]string
	runs   map[string]*process
	rows   *sql.DB
}

// db is the deployment's database, for reading beside it.
func (d *deployment) db() *sql.DB {
	if d.rows == nil {
		d.rows = database(d.t, d.dir("edge-0"))
	}
	return d.rows
}

func newDeployment(t *testing.T, broker *kafkatest.Broker, server *pgtest.Server) *deployment {
	t.Helper()
	return &deployment{
		t: t, server: server.Database(t), dirs: map[string]string{}, agents: map[string]string{}, args: map[string][]string{}, runs: map[string]*process{},
		place: []string{"--bus", "kafka", "--brokers", broker.Addr(), "--set", fmt.Sprintf("kafka.prefix=t%d-", prefixes.Add(1))},
	}
}

// dir makes the data directory of a process that may have been started never yet.
func (d *deployment) dir(name string) string {
	if d.dirs[name] == "" {
		d.dirs[name] = d.t.TempDir()
		servers.Store(d.dirs[name], d.server)
		buses.Store(d.dirs[name], d.place)
	}
	return d.dirs[name]
}

// start begins a life of the process of this name. The agents and arguments of an earlier life are taken where none are given.
func (d *deployment) start(name, agents string, args ...string) *process {
	d.t.Helper()
	if agents != "" {
		d.agents[name], d.args[name] = agents, args
	}
	d.runs[name] = start(d.t, d.dir(name), append([]string{"--instance", name, "--agents", d.agents[name]}, d.args[name]...)...)
	return d.runs[name]
}

// replaced stops a process in order and starts it again, as an update does.
func (d *deployment) replaced(name string) *process {
	d.t.Helper()
	if err := d.runs[name].interrupt(d.t); err != nil {
		d.t.Fatalf("%s: the drain failed: %v\n%s", name, err, tail(d.runs[name].out.String(), 20))
	}
	return d.start(name, "")
}

// stop ends all in the order that is given, each in order.
func (d *deployment) stop(names ...string) {
	d.t.Helper()
	for _, name := range names {
		if err := d.runs[name].interrupt(d.t); err != nil {
			d.t.Errorf("%s: the drain failed: %v\n%s", name, err, tail(d.runs[name].out.String(), 20))
		}
	}
}

const (
	edgeAgents = "web,ingestion"
	workAgents = "feature,model,decision"
	loopAgents = "monitoring,healing,governance,web"
)

// TestProcesses runs deployments of several processes on a real broker and a real database server.
func TestProcesses(t *testing.T) {
	if os.Getenv("AURA_TEST_KAFKA") == "" {
		t.Skip("it needs a Kafka broker: .ci/run processes")
	}
	broker, server := kafkatest.Start(t), pgtest.Start(t)
	rounds := 1
	if os.Getenv("AURA_KILLS") != "" {
		rounds = kills(t)
	}
	t.Run("Split", func(t *testing.T) { splitUnderLoad(t, newDeployment(t, broker, server), rounds) })
	t.Run("Loop", func(t *testing.T) { healedByAnother(t, newDeployment(t, broker, server)) })
}

// splitUnderLoad: two processes take applications in, two decide them. Each is killed under load, again and again, while mode
// and champion change, then all are replaced one after the other as by an update: what was answered is neither lost nor decided
// twice nor changed, and nothing is decided under a mode or a champion that had been replaced.
func splitUnderLoad(t *testing.T, d *deployment, rounds int) {
	trainTwo(t, d.dir("edge-0"))
	const seed = 5
	t.Logf("seed %d, each process killed %d times, %d clients", seed, rounds, clients)
	quiet := []string{"--set", "healing.enabled=false"} // these applications are no population that the model knows
	edges, works := []string{"edge-0", "edge-1"}, []string{"work-0", "work-1"}
	for _, name := range works {
		d.start(name, workAgents, quiet...)
	}
	told, random := newBook(), rand.New(rand.NewPCG(seed, 2))
	var load sync.WaitGroup
	runs := map[string]*killRun{}
	for i, name := range edges {
		run := &killRun{book: told, random: random}
		run.base.Store(&d.start(name, edgeAgents, quiet...).base)
		runs[name] = run
		for c := range clients / 2 {
			load.Go(func() { run.client(i*clients + c) })
		}
	}
	load.Go(func() { runs["edge-0"].switcher() })
	wait := func(n int) {
		for _, run := range runs {
			run.wait(t, n)
		}
	}
	for range rounds {
		for _, name := range append(edges, works...) {
			wait(50 + random.IntN(200))
			d.runs[name].kill()
			p := d.start(name, "")
			if run := runs[name]; run != nil {
				run.base.Store(&p.base)
			}
		}
	}
	before := d.runs["work-0"].cmd.Process.Pid
	for _, name := range append(works, edges...) {
		wait(100)
		p := d.replaced(name)
		if run := runs[name]; run != nil {
			run.base.Store(&p.base)
		}
	}
	if d.runs["work-0"].cmd.Process.Pid == before {
		t.Error("nothing was replaced")
	}
	wait(100)
	acked, switches := int64(0), int64(0)
	for _, run := range runs {
		run.stop.Store(true)
		acked, switches = acked+run.acked.Load(), switches+run.switches.Load()
	}
	load.Wait()
	d.stop(append(edges, works...)...)
	t.Logf("%d applications answered, %d changes of mode and champion", acked, switches)
	if switches == 0 {
		t.Error("neither mode nor champion changed: the test is not what it says")
	}
	checkBook(t, d.dir("edge-0"), told)
	for name, p := range d.runs {
		if strings.Contains(p.out.String(), "DATA RACE") || strings.Contains(p.out.String(), "panic:") {
			t.Errorf("%s:\n%s", name, tail(p.out.String(), 40))
		}
	}
}

// leaseOf says who holds a lease, and its epoch.
func (d *deployment) leaseOf(name string) (holder string, epoch int64) {
	d.t.Helper()
	err := d.db().QueryRow("SELECT holder, epoch FROM leases WHERE name = $1", name).Scan(&holder, &epoch)
	if err != nil {
		d.t.Fatalf("lease %s: %v", name, err)
	}
	for _, process := range []string{"loop-0", "loop-1"} {
		if strings.Contains(holder, process) {
			return process, epoch
		}
	}
	return holder, epoch
}

func other(process string) string {
	return map[string]string{"loop-0": "loop-1", "loop-1": "loop-0"}[process]
}

// takenOver waits until another process than before holds both leases, and says how long that took.
func (d *deployment) takenOver(before string, since time.Time) time.Duration {
	d.t.Helper()
	until(d.t, time.Minute, "another holder of the leases than "+before, func() string {
		for _, name := range []string{"monitoring", "healing"} {
			if holder, _ := d.leaseOf(name); holder != other(before) {
				return name + " is held by " + holder
			}
		}
		return ""
	})
	return time.Since(since)
}

func (d *deployment) mode() string {
	var mode string
	if err := d.db().QueryRow("SELECT value FROM desired_state WHERE setting = 'mode'").Scan(&mode); err != nil {
		d.t.Fatal(err)
	}
	return mode
}

func (d *deployment) count(query string, args ...any) (n int) {
	d.t.Helper()
	if err := d.db().QueryRow(query, args...).Scan(&n); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (d *deployment) inject(process string, fault map[string]any) {
	d.t.Helper()
	if status, err := call(http.MethodPost, d.runs[process].base+"/api/v1/faults", fault, nil); err != nil || status/100 != 2 {
		d.t.Fatalf("fault at %s: %d %v", process, status, err)
	}
}

// calm waits until the model decides and no incident is open.
func (d *deployment) calm() {
	d.t.Helper()
	until(d.t, 2*time.Minute, "the model back and no incident open", func() string {
		if mode := d.mode(); mode != "MODEL" {
			return mode
		}
		open, err := openIncidents(d.db())
		if err != nil {
			return err.Error()
		}
		if n := d.count("SELECT COUNT(*) FROM incidents WHERE degraded"); n > 0 {
			return fmt.Sprintf("%d degraded", n)
		}
		return open
	})
}

// tell shows after a failure what there was.
func (d *deployment) tell() {
	if !d.t.Failed() {
		return
	}
	for _, query := range []string{
		"SELECT incident_type || ' ' || target || ' ' || state || ' ' || detected_at || ' ' || fingerprint FROM incidents",
		"SELECT name || ' ' || holder || ' ' || epoch FROM leases",
		"SELECT action_type || ' ' || COALESCE(agl_decision, '') || ' ' || COALESCE(result, '') || ' ' || proposed_at FROM healing_actions ORDER BY proposed_at",
	} {
		found, err := texts(d.db(), query)
		d.t.Logf("%s, %v", strings.Join(found, "\n"), err)
	}
	for name, p := range d.runs {
		d.t.Logf("%s:\n%s", name, tail(p.out.String(), 300))
	}
}

const (
	executed  = "SELECT COUNT(*) FROM executed_actions"
	lives     = "SELECT incarnation FROM agent_incarnations WHERE agent = $1 AND instance = $2"
	incidents = "SELECT COUNT(*) FROM incidents WHERE incident_type = $1"
	called    = "SELECT COUNT(*) FROM incidents WHERE incident_type = 'AGENT_DOWN' AND target = $1 AND state = 'ESCALATED'"
)

// healedByAnother: one of two processes that watch and heal is frozen as both deciding ones get late: the other takes over and
// heals; when the first one is let go on it changes nothing. Then the holder is killed, and the other restarts a model agent
// that hangs in a third process. A deciding process that is gone is told to a person, and nothing is done at it; replacing all
// processes in turn is no incident.
func healedByAnother(t *testing.T, d *deployment) {
	d.db() // closed after it was told what is in it
	t.Cleanup(d.tell)
	trainTwo(t, d.dir("edge-0"))
	key := filepath.Join(t.TempDir(), "agl.ed25519")
	var out safeBuffer
	if code := program([]string{"keys", "new", key}, &out, &out); code != 0 {
		t.Fatalf("exit %d\n%s", code, &out)
	}
	common := []string{"--set", "governance.key_file=" + key}
	for _, name := range []string{"work-0", "work-1"} {
		d.start(name, workAgents, common...)
	}
	for _, name := range []string{"loop-0", "loop-1"} {
		d.start(name, loopAgents, common...)
	}
	// Last: decisions that are late because processes start beside them are a breach like any other.
	d.start("edge-0", edgeAgents, append(common, "--simulate", "50")...)
	holder, _ := d.leaseOf("healing")
	if watches, _ := d.leaseOf("monitoring"); watches != holder {
		t.Logf("monitoring is held by %s, healing by %s", watches, holder)
	}
	d.runs["loop-0"].well(t)
	d.runs["loop-1"].well(t) // the page of either shows what the holder reports
	d.calm()

	// Frozen.
	holder, epoch := d.leaseOf("healing")
	zombie := d.runs[holder]
	if err := zombie.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	for _, name := range []string{"work-0", "work-1"} {
		d.inject(name, map[string]any{"target": "model", "kind": "latency", "delay": "2s", "share": 1, "ttl": "40s"})
	}
	took := d.takenOver(holder, frozen)
	until(t, time.Minute, "safe mode", func() string { return strings.TrimPrefix(d.mode(), "SAFE_MODE") })
	t.Logf("%s frozen: the leases are %s's after %v, safe mode %v after the fault", holder, other(holder), took.Round(10*time.Millisecond), time.Since(frozen).Round(10*time.Millisecond))
	if took > 15*time.Second {
		t.Errorf("taken over after %v", took)
	}
	if err := zombie.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	d.calm()
	if now, after := d.leaseOf("healing"); now != other(holder) || after <= epoch {
		t.Errorf("the lease of healing is %s's in epoch %d, after %s's %d", now, after, holder, epoch)
	}
	if n := d.count(incidents, "LATENCY_SLO_BREACH"); n != 1 {
		t.Errorf("%d incidents of latency", n)
	}

	// Killed.
	holder, _ = d.leaseOf("healing")
	d.runs[holder].kill()
	killed, model := time.Now(), d.count(lives, "model", "work-0")
	d.inject("work-0", map[string]any{"target": "model", "kind": "hang", "share": 1, "times": 1, "ttl": "60s"})
	took = d.takenOver(holder, killed)
	until(t, time.Minute, "a new life of work-0's model agent", func() string {
		return strings.TrimPrefix(fmt.Sprint(d.count(lives, "model", "work-0")), fmt.Sprint(model+1))
	})
	t.Logf("%s killed: the leases are %s's after %v, the hung agent restarted after %v", holder, other(holder), took.Round(10*time.Millisecond), time.Since(killed).Round(10*time.Millisecond))
	if took > 15*time.Second {
		t.Errorf("taken over after %v", took)
	}
	until(t, time.Minute, "a person told of the process", func() string {
		return strings.TrimPrefix(fmt.Sprint(d.count(called, "instance/"+holder)), "1")
	})
	d.start(holder, "")
	d.calm()
	if n := d.count(lives, "model", "work-1"); n != 1 {
		t.Errorf("work-1's model agent, which was well, is in life %d", n)
	}

	// Gone.
	before := d.count(executed)
	d.runs["work-1"].kill()
	until(t, time.Minute, "a person told of the process that is gone", func() string {
		return strings.TrimPrefix(fmt.Sprint(d.count(called, "instance/work-1")), "1")
	})
	// What a person wants of it is told to a process that doesn't heal, and answered by the one that does: it is with a person already.
	gone, err := texts(d.db(), "SELECT incident_id FROM incidents WHERE target = 'instance/work-1' AND state = 'ESCALATED'")
	if err != nil || len(gone) != 1 {
		t.Fatalf("incidents %q, %v", gone, err)
	}
	told := d.runs["edge-0"].base + "/api/v1/incidents/" + gone[0] + "/escalate"
	if status, err := call(http.MethodPost, told, map[string]string{"reason": "mine"}, nil); err != nil || status != http.StatusConflict {
		t.Errorf("told at edge-0: %d, %v; want 409 from who heals", status, err)
	}
	if n := d.count("SELECT COUNT(*) FROM incident_requests WHERE refused LIKE 'a person has been called already%'"); n != 1 {
		t.Errorf("%d requests answered by who heals", n)
	}
	d.start("work-1", "")
	d.calm()
	if n := d.count(executed) - before; n != 0 {
		t.Fatalf("%d actions for a process that was gone", n)
	}

	// Replaced.
	before = d.count(executed)
	for _, name := range []string{"work-0", "work-1", "edge-0", "loop-0", "loop-1"} {
		d.replaced(name)
	}
	d.runs["loop-0"].well(t)
	if n := d.count(executed) - before; n != 0 {
		t.Errorf("%d actions for a replacement", n)
	}
	d.stop("edge-0", "work-0", "work-1", "loop-0", "loop-1")
	checkBook(t, d.dir("edge-0"), newBook())
	checkHealing(t, d.dir("edge-0"))
}
