//go:build linux

package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents/bus/kafkatest"
	"aura/app/doctor"
)

var prefixes atomic.Int64

// onBroker makes a data directory whose process is on a broker, with topics of its own.
func onBroker(t *testing.T, b *kafkatest.Broker) string {
	t.Helper()
	dir := t.TempDir()
	buses.Store(dir, []string{"--bus", "kafka", "--brokers", b.Addr(), "--set", fmt.Sprintf("kafka.prefix=t%d-", prefixes.Add(1))})
	return dir
}

// TestKafka runs the real program on a real broker: killed itself, with the broker killed under it, and healing.
func TestKafka(t *testing.T) {
	broker := kafkatest.Start(t)
	rounds := 1
	if os.Getenv("AURA_KILLS") != "" {
		rounds = kills(t)
	}
	t.Run("Doctor", func(t *testing.T) { doctored(t, broker) })
	t.Run("Migrate", func(t *testing.T) { migrated(t, broker) })
	t.Run("Kill", func(t *testing.T) { killUnderLoad(t, onBroker(t, broker), "kafka", rounds) })
	t.Run("BrokerKilled", func(t *testing.T) { brokerKilled(t, broker, rounds) })
	t.Run("Topics", func(t *testing.T) { takenFromTopics(t, broker) })
	t.Run("Traces", func(t *testing.T) { tracedOverKafka(t, broker) })
	t.Run("NothingToHeal", func(t *testing.T) { nothingToHealOnKafka(t, broker) })
	t.Run("Demo", func(t *testing.T) {
		var out safeBuffer
		if code := program([]string{"demo", "latency", "--bus", "kafka", "--brokers", broker.Addr()}, &out, &out); code != 0 {
			t.Errorf("exit %d\n%s", code, &out)
		}
		if left := broker.Tool(t, "", kafkatest.Topics, "--list"); strings.Contains(left, "scratch-") {
			t.Errorf("topics are left: %s", left)
		}
	})
}

// doctored: the doctor tells a broker without our topics from one with them, with others, and from none.
func doctored(t *testing.T, b *kafkatest.Broker) {
	on := func(broker string, partitions int) map[string]doctor.Finding {
		return looked(t, t.TempDir(), "", "AURA_BUS_KIND=kafka", "AURA_KAFKA_BROKERS="+broker, "AURA_KAFKA_PREFIX=doc-", fmt.Sprintf("AURA_KAFKA_PARTITIONS=%d", partitions))
	}
	says(t, on(b.Addr(), 2), "bus", doctor.OK, "makes 26 topics")
	var out safeBuffer
	if code := program([]string{"migrate", "--bus", "kafka", "--brokers", b.Addr(), "--data", t.TempDir(), "--set", "kafka.prefix=doc-", "--set", "kafka.partitions=2"}, &out, &out); code != 0 {
		t.Fatalf("exit %d\n%s", code, &out)
	}
	says(t, on(b.Addr(), 2), "bus", doctor.OK, "all 26 topics")
	says(t, on(b.Addr(), 3), "bus", doctor.Warning, "doc-applications has 2")
	says(t, on("127.0.0.1:1", 2), "bus", doctor.Failed, "127.0.0.1:1")
}

// TestKafkaSecured: a broker that demands TLS and a name gets both from the configuration; a wrong password is refused at the
// start, and shown nowhere.
func TestKafkaSecured(t *testing.T) {
	broker := kafkatest.Start(t, kafkatest.Secured("SCRAM-SHA-512"))
	dir := t.TempDir()
	file := filepath.Join(dir, "secured.yaml")
	settings := func(password string) {
		text := fmt.Sprintf("bus: {kind: kafka}\nkafka:\n  brokers: [%q]\n  sasl: {mechanism: SCRAM-SHA-512, user: %s, password: %q}\n  tls: {enabled: true, ca: %q}\n",
			broker.Addr(), kafkatest.User, password, broker.CA())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings(kafkatest.Password + "x")
	var out safeBuffer
	if code := program([]string{"migrate", "--config", file, "--data", dir}, &out, &out); code == 0 || !strings.Contains(out.String(), "Authentication failed") {
		t.Errorf("a wrong password: exit %d\n%s", code, &out)
	}
	settings(kafkatest.Password)
	p := start(t, dir, "--config", file)
	var r sighting
	body := map[string]any{"application_id": "A-1", "features": randomFeatures(rand.New(rand.NewPCG(1, 1)))}
	if status, err := call(http.MethodPost, p.base+"/api/v1/applications", body, &r); err != nil || status != http.StatusOK || r.Decision == "" {
		t.Errorf("answered with %d, %+v, %v", status, r, err)
	}
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	if all := out.String() + p.out.String(); strings.Contains(all, kafkatest.Password) {
		t.Error("the password is in the output")
	}
}

// migrated: `aura migrate` makes all topics, a second time none, and Kafka's own tools see them.
func migrated(t *testing.T, b *kafkatest.Broker) {
	args := []string{"migrate", "--bus", "kafka", "--brokers", b.Addr(), "--data", t.TempDir()}
	for _, want := range []string{"topics: 26 created", "topics: 0 created"} {
		var out safeBuffer
		if code := program(args, &out, &out); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d, want %q\n%s", code, want, &out)
		}
	}
	list := strings.Fields(b.Tool(t, "", kafkatest.Topics, "--list"))
	for _, topic := range []string{
		"applications", "outcomes", "raw-events", "features", "predictions", "decisions", "feedback", "agent-metrics", "alerts",
		"policy-requests", "policy-decisions", "config-updates", "incident-log",
	} {
		for _, name := range []string{topic, topic + ".dlq"} {
			if !strings.Contains(strings.Join(list, " ")+" ", name+" ") {
				t.Errorf("no topic %s in %v", name, list)
			}
		}
	}
}

// takenFromTopics writes applications and outcomes with Kafka's own producer, without any header, while the process is down:
// after its start they are decided and joined, what can't be is in the dead letters with the reason, the group has no lag, and
// a further life takes nothing twice.
func takenFromTopics(t *testing.T, b *kafkatest.Broker) {
	dir := onBroker(t, b)
	trainTwo(t, dir)
	p := start(t, dir) // makes the topics
	if err := p.interrupt(t); err != nil {
		t.Fatal(err)
	}
	prefix := strings.TrimPrefix(busOf(dir)[5], "kafka.prefix=")
	random := rand.New(rand.NewPCG(5, 5))
	var applications, outcomes strings.Builder
	book := newBook()
	for i := range 200 {
		id := fmt.Sprintf("topic-%d", i)
		body, _ := json.Marshal(map[string]any{"application_id": id, "features": randomFeatures(random)})
		fmt.Fprintf(&applications, "%s|%s\n", id, body)
		fmt.Fprintf(&outcomes, "%s|{\"application_id\": %q, \"outcome\": \"repaid\"}\n", id, id)
		book.accepted(id)
	}
	applications.WriteString("poison|{\"application_id\":\nwrong|{\"application_id\": \"wrong\", \"features\": {\"credit_score\": 7}}\n")
	outcomes.WriteString("stranger|{\"application_id\": \"stranger\", \"outcome\": \"repaid\"}\n")
	keyed := []string{"--reader-property", "parse.key=true", "--reader-property", "key.separator=|"}
	b.Tool(t, outcomes.String(), kafkatest.ConsoleProducer, append([]string{"--topic", prefix + "outcomes"}, keyed...)...)
	b.Tool(t, applications.String(), kafkatest.ConsoleProducer, append([]string{"--topic", prefix + "applications"}, keyed...)...)
	db := database(t, dir)
	count := func(query string) (n int) {
		if err := db.QueryRow(query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for life := range 2 {
		p = start(t, dir)
		until(t, time.Minute, "decisions and outcomes", func() string {
			return strings.TrimPrefix(fmt.Sprintf("%d decided, %d outcomes", count("SELECT COUNT(*) FROM decisions"), count("SELECT COUNT(*) FROM feedback WHERE kind = 'joined'")), "200 decided, 200 outcomes")
		})
		if life == 0 {
			until(t, time.Minute, "the group without lag", func() string {
				return lagOf(b.Tool(t, "", kafkatest.ConsumerGroups, "--describe", "--group", prefix+"ingestion-agent-group"))
			})
		}
		if err := p.interrupt(t); err != nil {
			t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
		}
	}
	if n := count("SELECT COUNT(*) FROM applications"); n != 200 {
		t.Errorf("%d applications", n)
	}
	for topic, reasons := range map[string][]string{
		"applications": {"ce_reason:bus: decode a message", "ce_reason:credit_score"}, "outcomes": {"ce_reason:no application has"},
	} {
		out := b.Tool(t, "", kafkatest.ConsoleConsumer, "--topic", prefix+topic+".dlq", "--from-beginning", "--max-messages", fmt.Sprint(len(reasons)),
			"--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
		for _, want := range reasons {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in the dead letters of %s\n%s", want, topic, out)
			}
		}
	}
	checkBook(t, dir, book)
}

// lagOf says what of a described group still has a lag, "" if nothing.
func lagOf(description string) string {
	described := 0
	for line := range strings.Lines(description) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] == "GROUP" || f[4] == "-" {
			continue
		}
		described++
		if empty := f[3] == "-" && f[4] == "0"; f[5] != "0" && !empty { // of a partition where nothing ever was nothing is committed
			return line
		}
	}
	if described == 0 {
		return "no partition is described: " + description
	}
	return ""
}

// brokerKilled kills the broker under load, again and again. While it is away nothing is said to be decided, and what is said
// to be accepted is committed; past the window 429. When it is back everything goes on by itself, and nothing that was
// answered is lost or decided twice.
func brokerKilled(t *testing.T, broker *kafkatest.Broker, rounds int) {
	dir := onBroker(t, broker)
	trainTwo(t, dir)
	const seed = 3
	t.Logf("seed %d, %d kills of the broker, %d clients", seed, rounds, clients)
	run := &killRun{book: newBook(), random: rand.New(rand.NewPCG(seed, 2))}
	// These applications are no population that the model knows.
	p := start(t, dir, "--set", "healing.enabled=false", "--set", "admission.window=100", "--set", "http.wait=300ms")
	run.base.Store(&p.base)
	var load sync.WaitGroup
	for c := range clients {
		load.Go(func() { run.client(c) })
	}
	var longest time.Duration
	for n := range rounds {
		run.wait(t, 100+run.random.IntN(400))
		broker.Kill(t)
		undecidedWhileAway(t, p.base, run.book, n)
		broker.Restart(t)
		back, decided := time.Now(), run.decided.Load()
		for run.decided.Load() == decided && time.Since(back) < time.Minute {
			time.Sleep(time.Millisecond) // nothing signals the first decision
		}
		if took := time.Since(back); took > longest {
			longest = took
			t.Logf("ready at %s\n%s", back.UTC().Format("15:04:05.000"), tail(p.out.String(), 15))
		}
		run.wait(t, 200)
	}
	run.stop.Store(true)
	load.Wait()
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	t.Logf("%d applications answered, %d sent again; first decision at most %v after the broker was ready",
		run.acked.Load(), run.resent.Load(), longest.Round(time.Millisecond))
	checkBook(t, dir, run.book)
}

// undecidedWhileAway hands applications in until the window is full: each answer is 202 for a commit, then 429.
func undecidedWhileAway(t *testing.T, base string, b *book, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(n), 9))
	for i := range 1000 {
		id := fmt.Sprintf("away%d-%d", n, i)
		status, err := call(http.MethodPost, base+"/api/v1/applications", map[string]any{"application_id": id, "features": randomFeatures(random)}, nil)
		switch {
		case err == nil && status == http.StatusAccepted:
			b.accepted(id)
		case err == nil && status == http.StatusTooManyRequests:
			return
		case i > 2 || err != nil || status != http.StatusOK: // a decision may have been on its way as the broker died
			t.Errorf("without a broker an application was answered with %d, %v; want 202 or 429", status, err)
			return
		}
	}
	t.Error("no 429 in a thousand applications")
}

// nothingToHealOnKafka takes the broker away for longer than an incident needs to open, under the simulator's load: a person
// is told, and no action is taken.
func nothingToHealOnKafka(t *testing.T, broker *kafkatest.Broker) {
	dir := onBroker(t, broker)
	trainTwo(t, dir)
	p := start(t, dir, "--simulate", "50")
	p.well(t)
	broker.Kill(t)
	time.Sleep(8 * time.Second) // the outage is what is tested
	broker.Restart(t)
	p.well(t)
	db := database(t, dir)
	until(t, 60*time.Second, "a notice of the outage, and the end of each incident", func() string {
		all, err := texts(db, "SELECT incident_type FROM incidents")
		if err != nil {
			return err.Error()
		}
		if len(all) == 0 {
			return "no incident yet"
		}
		open, err := openIncidents(db)
		if err != nil {
			return err.Error()
		}
		return open
	})
	if kinds := nothingWasDone(t, p, db); !slices.Contains(kinds, "BUS_DOWN") {
		t.Errorf("incidents of %q: nobody was told that the bus is away", kinds)
	}
	checkBook(t, dir, newBook())
	checkHealing(t, dir)
}
