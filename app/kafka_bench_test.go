//go:build linux

package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/bus/kafkatest"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/feature"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/app/cli"
	"aura/mlops/schema"
	"aura/store/pgtest"
)

// BenchmarkKafka is the way of applications over a real broker: raw-events, features, predictions, decisions, each event a record of
// its own, JSON written and read at every hop, acks by all, and who reads the decisions. It needs AURA_TEST_KAFKA=1.
//
// throughput is without a store: all raw events are in their topic when the clock starts, and the last decision stops it; take -benchtime
// 600000x. With three processes two more of this binary are members of the same groups. rate publishes a thousand a second and takes the
// time of each but the first quarter from when it was due; take -benchtime 20000x. database is `aura bench`: everything on, each
// application and each decision committed by a real PostgreSQL and read back, for 20 s. cpu-us/event is the processor time of all
// our processes, broker-us/event the broker's.
func BenchmarkKafka(b *testing.B) {
	broker := kafkatest.Start(b, kafkatest.Quick)
	for _, partitions := range []int{3, 12, 32} {
		for _, processes := range []int{1, 3} {
			b.Run(fmt.Sprintf("throughput/partitions=%d/processes=%d", partitions, processes), func(b *testing.B) {
				benchKafka(b, broker, partitions, processes, 0)
			})
		}
	}
	b.Run("rate=1000/partitions=12", func(b *testing.B) { benchKafka(b, broker, 12, 1, 1000) })
	for _, partitions := range []int{3, 12, 32} {
		b.Run(fmt.Sprintf("database/partitions=%d", partitions), func(b *testing.B) { benchKafkaDatabase(b, broker, partitions) })
	}
}

// BenchmarkKafkaStreams runs the same work by AURA and by Kafka Streams (deploy/bench/kafka-streams) in turn, on one broker, 12 partitions.
// Take -benchtime 600000x, so that each runs for 25 s; AURA_BENCH_ROUNDS is how often (3).
func BenchmarkKafkaStreams(b *testing.B) {
	broker := kafkatest.Start(b, kafkatest.Quick)
	rounds := 3
	if text := os.Getenv("AURA_BENCH_ROUNDS"); text != "" {
		if _, err := fmt.Sscan(text, &rounds); err != nil {
			b.Fatal(err)
		}
	}
	for round := range rounds {
		b.Run(fmt.Sprintf("round=%d/aura", round+1), func(b *testing.B) { benchKafka(b, broker, 12, 1, 0) })
		b.Run(fmt.Sprintf("round=%d/streams=default", round+1), func(b *testing.B) { benchStreams(b, broker, 12) })
		b.Run(fmt.Sprintf("round=%d/streams=tuned", round+1), func(b *testing.B) { benchStreams(b, broker, 12, tunedStreams...) })
	}
}

// tunedStreams asks for larger batches on both sides than Kafka Streams does by itself.
var tunedStreams = []string{
	"producer.batch.size=262144", "producer.linger.ms=20", "producer.buffer.memory=134217728", "consumer.max.poll.records=5000",
	"consumer.fetch.min.bytes=65536", "consumer.fetch.max.wait.ms=50", "buffered.records.per.partition=5000", "num.stream.threads=4",
}

var benchPrefixes atomic.Int64

// benchTopics makes topics that nobody has used, and removes them at the end.
func benchTopics(b *testing.B, broker *kafkatest.Broker, partitions int) bus.KafkaOptions {
	b.Helper()
	o := bus.KafkaOptions{
		Brokers: []string{broker.Addr()}, Prefix: fmt.Sprintf("bench%d-", benchPrefixes.Add(1)), Logger: slog.New(slog.DiscardHandler),
	}
	if _, err := bus.EnsureTopics(o, bus.KafkaTopics{Partitions: partitions}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := bus.RemoveTopics(o); err != nil {
			b.Error(err)
		}
	})
	return o
}

// kafkaPart is one process' share of the pipeline: a member of all its groups.
type kafkaPart struct {
	transport  *bus.Kafka
	supervisor *agents.Supervisor
}

func newKafkaPart(t testing.TB, o bus.KafkaOptions) kafkaPart {
	t.Helper()
	log, st, sch := o.Logger, &nowhere{}, schema.Builtin()
	transport, err := bus.NewKafka(o)
	if err != nil {
		t.Fatal(err)
	}
	view, err := desired.New(t.Context(), st, log)
	if err != nil {
		t.Fatal(err)
	}
	champion := model.NewChampion(oneModel{benchModel(t)}, view, log)
	champion.Follow(t.Context())
	tel := newTelemetry(newHub(), newObjective(nil, ingestion.NewWindow(1)))
	sup, err := agents.New(agents.Options{Transport: transport, Incarnations: st, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []agents.Spec{
		feature.Spec(feature.Options{Schema: sch}), model.Spec(model.Options{Schema: sch, Champion: champion, View: view}),
		decision.Spec(decision.Options{Schema: sch, Store: st, View: view, Now: now, Log: log, Observe: tel.decided}),
	} {
		if err := sup.Add(spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := transport.Joined(t.Context()); err != nil {
		t.Fatal(err)
	}
	return kafkaPart{transport, sup}
}

func benchKafka(b *testing.B, broker *kafkatest.Broker, partitions, processes int, rate float64) {
	o := benchTopics(b, broker, partitions)
	o.Member = "bench-0"
	part := newKafkaPart(b, o)
	defer func() { _ = part.transport.Close() }()
	box, err := part.transport.Mailbox(bus.MailboxOptions{Topic: event.Decisions})
	if err != nil {
		b.Fatal(err)
	}
	raw := rawEvents()
	if rate == 0 {
		prefill(b, part.transport, raw)
	}
	var others []*kafkaOther
	for i := 1; i < processes; i++ {
		others = append(others, startOther(b, o, i))
	}
	awaitMembers(b, o, processes)
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent)) // as the program has it
	b.ReportAllocs()
	b.ResetTimer()
	cpu, brokerCPU := cpuTime(), broker.CPU(b)
	for _, p := range others {
		p.begin(b)
	}
	if err := part.supervisor.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if rate > 0 {
		go publishAt(b, part.transport, raw, begun, rate)
	}
	took, half := decidedAll(b, box)
	b.StopTimer()
	end := time.Now()
	cpu = cpuTime() - cpu
	brokerCPU = broker.CPU(b) - brokerCPU
	for _, p := range others {
		cpu += p.end(b)
	}
	reportEvents(b, end.Sub(begun), end.Sub(half), cpu, brokerCPU)
	if rate > 0 {
		took = took[len(took)/4:] // those before it warm the broker up
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
	}
	if err := part.supervisor.Stop(context.Background()); err != nil {
		b.Error(err)
	}
}

func reportEvents(b *testing.B, all, secondHalf, cpu, broker time.Duration) {
	b.Helper()
	n := float64(b.N)
	b.ReportMetric(n/all.Seconds(), "events/s")
	b.ReportMetric(float64(b.N/2)/secondHalf.Seconds(), "2nd-half/s")
	b.ReportMetric(float64(cpu.Microseconds())/n, "cpu-us/event")
	b.ReportMetric(float64(broker.Microseconds())/n, "broker-us/event")
}

func rawEvents() func(int, time.Time) *bus.Message {
	rows := records(1)
	return func(i int, at time.Time) *bus.Message {
		id := fmt.Sprintf("A-%d", i)
		return bus.NewMessage(&event.RawEvent{Subject: event.Subject{ID: id, ApplicationID: id, AcceptedAt: at.UTC()}, Features: rows[i%len(rows)]}, at)
	}
}

// publishAt publishes b.N events, each when it is due.
func publishAt(b *testing.B, t bus.Transport, raw func(int, time.Time) *bus.Message, begun time.Time, rate float64) {
	for i := range b.N {
		due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		go func() {
			if err := t.Publish(context.Background(), raw(i, due)); err != nil {
				b.Error(err)
			}
		}()
	}
}

// prefill puts b.N raw events into their topic.
func prefill(b *testing.B, t bus.Transport, raw func(int, time.Time) *bus.Message) {
	b.Helper()
	const batch = 2000
	for i := 0; i < b.N; i += batch {
		var messages []*bus.Message
		for j := i; j < min(i+batch, b.N); j++ {
			messages = append(messages, raw(j, time.Now()))
		}
		if err := t.Publish(b.Context(), messages...); err != nil {
			b.Fatal(err)
		}
	}
}

// decidedAll reads until there are b.N distinct decisions and returns how long each took from its acceptance, and when half of
// them were there.
func decidedAll(b *testing.B, box bus.Mailbox) (took []time.Duration, half time.Time) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var mu sync.Mutex
	seen := make(map[string]bool, b.N)
	took = make([]time.Duration, 0, b.N)
	var readers sync.WaitGroup
	for _, l := range box.Lanes() {
		readers.Go(func() {
			for {
				batch, err := l.Take(ctx, 2000)
				if err != nil {
					return
				}
				at := time.Now()
				mu.Lock()
				for _, m := range batch {
					d := m.Event.(*event.Decision)
					if !seen[d.ID] {
						seen[d.ID] = true
						took = append(took, at.Sub(d.AcceptedAt))
					}
				}
				if half.IsZero() && len(seen) >= (b.N+1)/2 {
					half = at
				}
				if len(seen) == b.N {
					cancel()
				}
				mu.Unlock()
				l.Ack(len(batch))
			}
		})
	}
	readers.Wait()
	return took, half
}

// awaitMembers waits until each group of the pipeline is at rest with a member in each process.
func awaitMembers(b *testing.B, o bus.KafkaOptions, processes int) {
	b.Helper()
	admin, err := sarama.NewClusterAdmin(o.Brokers, sarama.NewConfig())
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close()
	var names []string
	for _, agent := range []string{feature.Name, model.Name, decision.Name} {
		names = append(names, o.Prefix+event.Group(agent))
	}
	for begun := time.Now(); ; {
		groups, err := admin.DescribeConsumerGroups(names)
		if err != nil {
			b.Fatal(err)
		}
		if !slices.ContainsFunc(groups, func(g *sarama.GroupDescription) bool { return g.State != "Stable" || len(g.Members) != processes }) {
			return
		}
		if time.Since(begun) > time.Minute {
			b.Fatalf("the groups are not at rest: %+v", groups)
		}
		time.Sleep(100 * time.Millisecond) // nothing tells
	}
}

// kafkaOther is a further process of the pipeline.
type kafkaOther struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

const otherEnv = "AURA_BENCH_KAFKA_PART"

// startOther starts this binary as a member of the same groups, and returns when it is one.
func startOther(b *testing.B, o bus.KafkaOptions, i int) *kafkaOther {
	b.Helper()
	o.Member = fmt.Sprintf("bench-%d", i)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKafkaBenchPart$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), otherEnv+"="+strings.Join([]string{o.Brokers[0], o.Prefix, o.Member}, ","))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	started := make(chan error)
	ended := make(chan struct{})
	go func() { // the signal comes when the thread that started the process ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-ended
	}()
	if err := <-started; err != nil {
		b.Fatal(err)
	}
	p := &kafkaOther{in, bufio.NewScanner(out)}
	b.Cleanup(func() {
		_ = in.Close()
		for p.out.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
		close(ended)
	})
	p.says(b, "joined")
	return p
}

// says waits for a line that begins so, and returns the rest of it.
func (p *kafkaOther) says(b *testing.B, what string) string {
	b.Helper()
	for p.out.Scan() {
		if rest, ok := strings.CutPrefix(p.out.Text(), what); ok {
			return rest
		}
	}
	b.Fatalf("a process of the pipeline ended before it said %q", what)
	return ""
}

func (p *kafkaOther) begin(b *testing.B) {
	b.Helper()
	if _, err := io.WriteString(p.in, "begin\n"); err != nil {
		b.Fatal(err)
	}
}

// end stops the process and returns the processor time that it has used since it began.
func (p *kafkaOther) end(b *testing.B) time.Duration {
	b.Helper()
	if err := p.in.Close(); err != nil {
		b.Fatal(err)
	}
	took, err := time.ParseDuration(p.says(b, "used "))
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// TestKafkaBenchPart is such a process: it says that it has joined, begins when it is told to, and ends with its input.
func TestKafkaBenchPart(t *testing.T) {
	place := strings.Split(os.Getenv(otherEnv), ",")
	if len(place) != 3 {
		t.Skip("it is a process of BenchmarkKafka")
	}
	part := newKafkaPart(t, bus.KafkaOptions{Brokers: place[:1], Prefix: place[1], Member: place[2], Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = part.transport.Close() }()
	debug.SetGCPercent(gcPercent)
	fmt.Println("joined")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return // the others have failed
	}
	cpu := cpuTime()
	if err := part.supervisor.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = in.ReadString('\n')
	fmt.Printf("used %v\n", cpuTime()-cpu)
	if err := part.supervisor.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// benchStreams has Kafka Streams do the work of benchKafka, with the same raw events.
func benchStreams(b *testing.B, broker *kafkatest.Broker, partitions int, settings ...string) {
	const dir = "../deploy/bench/kafka-streams/"
	pom, err := os.ReadFile(dir + "pom.xml")
	if err != nil {
		b.Fatal(err)
	}
	libs := kafkatest.Jars(b, pom)
	o := benchTopics(b, broker, partitions)
	transport, err := bus.NewKafka(o)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := transport.Mailbox(bus.MailboxOptions{Topic: event.RawEvents}); err != nil { // a busy broker doesn't know a new topic at once
		b.Fatal(err)
	}
	prefill(b, transport, rawEvents())
	if err := transport.Close(); err != nil {
		b.Fatal(err)
	}
	args := []string{"-Xmx2g", "-cp", libs + "/*", dir + "Pipeline.java", broker.Addr(), o.Prefix, fmt.Sprint(b.N), "state.dir=" + b.TempDir()}
	cmd := exec.CommandContext(b.Context(), "java", append(args, settings...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the signal comes when the thread that started the process ends
	defer runtime.UnlockOSThread()
	b.ResetTimer()
	cpu := broker.CPU(b)
	if err := cmd.Run(); err != nil {
		b.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	b.StopTimer()
	cpu = broker.CPU(b) - cpu
	var found struct {
		Seconds    float64 `json:"seconds"`
		SecondHalf float64 `json:"second_half"`
		CPU        float64 `json:"cpu_seconds"`
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		b.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	reportEvents(b, seconds(found.Seconds), seconds(found.SecondHalf), seconds(found.CPU), cpu)
}

// benchKafkaDatabase is `aura bench` on this broker and a PostgreSQL.
func benchKafkaDatabase(b *testing.B, broker *kafkatest.Broker, partitions int) {
	server := pgtest.Start(b)
	length := "20s"
	if b.N == 1 {
		length = "1s" // to see that it runs
	}
	var out, errs bytes.Buffer
	before := broker.CPU(b)
	code := cli.Main(b.Context(), []string{
		"bench", "--bus", kafkaBus, "--brokers", broker.Addr(), "--db", server.Database(b), "--set", fmt.Sprintf("kafka.partitions=%d", partitions),
		"--clients", "2000", "--duration", length, "-o", "json",
	}, strings.NewReader(""), &out, &errs, cli.Commands{Bench: Bench})
	var report benchReport
	if err := json.Unmarshal(out.Bytes(), &report); code != 0 || err != nil {
		b.Fatalf("exit %d, %v\n%s%s", code, err, &out, &errs)
	}
	b.ReportMetric(report.PerSecond, "decisions/s")
	b.ReportMetric(report.CPUus, "cpu-us/decision")
	b.ReportMetric(float64((broker.CPU(b)-before).Microseconds())/float64(report.Decisions), "broker-us/decision")
	b.ReportMetric(report.P50, "p50-ms")
	b.ReportMetric(report.P99, "p99-ms")
}
