//go:build linux

package app_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

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
