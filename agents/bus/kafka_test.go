//go:build linux

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"aura/agents/bus"
	"aura/agents/bus/bustest"
	"aura/agents/bus/kafkatest"
	"aura/agents/event"
)

// TestKafka runs everything that can share one real broker on it.
func TestKafka(t *testing.T) {
	quiet(t)
	broker := kafkatest.Start(t)
	for name, test := range map[string]func(*testing.T, *kafkaRig){
		"Lanes":     lanesKafka,
		"Watermill": watermillKafka,
		"Offsets":   offsetsKafka,
		"Foreign":   foreignKafka,
		"Handover":  handoverKafka,
		"Leave":     leaveKafka,
		"Topics":    topicsKafka,
		"Lazy":      lazyKafka,
	} {
		t.Run(name, func(t *testing.T) { test(t, newKafkaRig(t, broker)) })
	}
	t.Run("Killed", func(t *testing.T) { killedKafka(t, newKafkaRig(t, broker)) })
	t.Run("ClosedWithout", func(t *testing.T) { closedWithoutKafka(t, newKafkaRig(t, broker)) }) // the last one: no broker is left
}

// kafkaRig makes transports over one broker, each with topics of its own.
type kafkaRig struct {
	broker *kafkatest.Broker
	client sarama.Client
	admin  sarama.ClusterAdmin
}

var kafkaPrefixes atomic.Int64

func newKafkaRig(t testing.TB, broker *kafkatest.Broker) *kafkaRig {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient([]string{broker.Addr()}, config)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() }) // with its client
	return &kafkaRig{broker: broker, client: client, admin: admin}
}

// create makes a topic and returns when the broker takes messages for it: it answers for a topic before it has all of its
// partitions, on a busy machine by longer than a publisher tries.
func (r *kafkaRig) create(t testing.TB, topic string, partitions int32) {
	t.Helper()
	err := r.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		t.Fatal(err)
	}
	for p, end := int32(0), time.Now().Add(time.Minute); p < partitions; {
		_, err := r.client.GetOffset(topic, p, sarama.OffsetNewest)
		switch {
		case err == nil:
			p++
		case time.Now().After(end):
			t.Fatalf("%s/%d: %v", topic, p, err)
		}
	}
}

// options are of a transport with empty topics.
func (r *kafkaRig) options(t testing.TB) bus.KafkaOptions {
	t.Helper()
	o := bus.KafkaOptions{Brokers: []string{r.broker.Addr()}, Prefix: fmt.Sprintf("t%d-", kafkaPrefixes.Add(1))}
	if testing.Verbose() && os.Getenv("AURA_TEST_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	for _, topic := range []event.Topic{event.ConfigUpdates, event.ConfigUpdates.DLQ(), event.RawEvents} {
		r.create(t, o.Prefix+string(topic), 3)
	}
	return o
}

func openKafka(t testing.TB, o bus.KafkaOptions) *bus.Kafka {
	t.Helper()
	k, err := bus.NewKafka(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// lanesKafka runs the lane suite. A topic keeps everything, so publishing knows no bounds (the window above it does), and
// what lies in it can't be looked into.
func lanesKafka(t *testing.T, r *kafkaRig) {
	bustest.Run(t, func(t testing.TB) bus.Transport { return openKafka(t, r.options(t)) },
		bustest.Features{Ordered: true, Slow: true})
}

// topicMaker lets Watermill's suite make its topics.
type topicMaker struct {
	message.Subscriber
	create func(string)
}

func (m topicMaker) SubscribeInitialize(topic string) error { m.create(topic); return nil }

// watermillKafka runs Watermill's own suite over the control plane's view. Order is promised within a partition. Each test has a
// group of its own, in which it may begin again: in one group of all, each of their members would wait for all others.
func watermillKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	k := openKafka(t, o)
	t.Cleanup(func() { closed(t, k) })
	on := func(partitions int32, group string) (message.Publisher, message.Subscriber) {
		return k.Publisher(), topicMaker{k.GroupSubscriber(group), func(topic string) { r.create(t, o.Prefix+topic, partitions) }}
	}
	features := tests.Features{ConsumerGroups: true, Persistent: true, ForceShort: testing.Short()}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return on(8, groupOf(t)) },
		func(_ *testing.T, group string) (message.Publisher, message.Subscriber) { return on(8, group) })
	features.GuaranteedOrder = true
	t.Run("InOrder", func(t *testing.T) {
		tests.TestPublishSubscribeInOrder(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
			func(t *testing.T) (message.Publisher, message.Subscriber) { return on(1, groupOf(t)) })
	})
}

func groupOf(t *testing.T) string { return strings.ReplaceAll(t.Name(), "/", "-") }

// readAll takes and acks messages of a mailbox until it has n.
func readAll(t testing.TB, box bus.Mailbox, n int) []*bus.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var readers sync.WaitGroup
	defer readers.Wait() // one reader of a lane at a time
	defer cancel()
	got := make(chan *bus.Message)
	for _, l := range box.Lanes() {
		readers.Go(func() {
			for {
				batch, err := l.Take(ctx, 1)
				if err != nil {
					return
				}
				select {
				case got <- batch[0]:
					l.Ack(1)
				case <-ctx.Done():
					l.Return()
					return
				}
			}
		})
	}
	var all []*bus.Message
	for len(all) < n {
		select {
		case m := <-got:
			all = append(all, m)
		case <-ctx.Done():
			t.Fatalf("%d of %d messages came", len(all), n)
		}
	}
	return all
}

func setting(key string, i int) *bus.Message {
	return bus.NewMessage(&event.ConfigUpdate{Setting: key, Generation: int64(i)}, time.Now())
}

// offsetsKafka: what a process has acked stays acked for the next one, and nothing else does.
func offsetsKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	life := func(ack int) (got []int64) {
		k := openKafka(t, o)
		defer closed(t, k)
		box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		want := 7
		if ack > 0 {
			want = 10
			for i := range 10 {
				if err := k.Publish(t.Context(), setting("mode", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		lane := busyLane(ctx, t, box)
		for len(got) < want {
			batch, err := lane.Take(ctx, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range batch {
				got = append(got, m.Event.(*event.ConfigUpdate).Generation)
			}
		}
		lane.Ack(ack)
		return got
	}
	if first := life(3); len(first) != 10 {
		t.Fatalf("the first process read %v", first)
	}
	if second := life(0); !slices.Equal(second, []int64{3, 4, 5, 6, 7, 8, 9}) {
		t.Fatalf("the second process read %v", second)
	}
}

// busyLane returns the lane in which something waits.
func busyLane(ctx context.Context, t testing.TB, box bus.Mailbox) bus.Lane {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	found := make(chan bus.Lane, len(box.Lanes()))
	for _, l := range box.Lanes() {
		readers.Go(func() {
			if _, err := l.Take(ctx, 1); err == nil {
				l.Return()
				found <- l
			}
		})
	}
	select {
	case l := <-found:
		return l
	case <-ctx.Done():
		t.Fatal("nothing came")
		return nil
	}
}

// handoverKafka: a second process takes over half of the partitions; what the first one holds of them comes again there,
// its late acks do nothing, and what was acked before never comes again.
func handoverKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	first := openKafka(t, o)
	defer closed(t, first)
	box, err := first.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		if err := first.Publish(t.Context(), setting(fmt.Sprint("key", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	acked := map[int64]int{}
	for _, l := range box.Lanes() { // everything is taken here, and a third of it acked
		batch, err := l.Take(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		acked[batch[0].Event.(*event.ConfigUpdate).Generation]++
		l.Ack(1)
		if _, err := l.Take(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	second := openKafka(t, o)
	defer closed(t, second)
	other, err := second.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	busyLane(ctx, t, other) // the partitions have changed hands
	for _, l := range box.Lanes() {
		l.Ack(n) // of the old session, wherever the partition is now
	}
	seen := make(chan int64, 10*n)
	for _, b := range []bus.Mailbox{box, other} {
		for _, l := range b.Lanes() {
			go func() {
				for {
					batch, err := l.Take(ctx, 10)
					if err != nil {
						return
					}
					for _, m := range batch {
						seen <- m.Event.(*event.ConfigUpdate).Generation
					}
					l.Ack(len(batch))
				}
			}()
		}
	}
	again := map[int64]int{}
	for len(again) < n-len(acked) {
		select {
		case i := <-seen:
			again[i]++
		case <-ctx.Done():
			t.Fatalf("%d of %d came again", len(again), n-len(acked))
		}
	}
	for i := range acked {
		if again[i] > 0 {
			t.Errorf("%d was acked and came again", i)
		}
	}
}

// leaveKafka: a member with a lasting name that ends in order is out of its group at once; others would wait for its session's
// end, and a group that is thrown away could not be deleted.
func leaveKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	o.Member = "member-1"
	group := o.Prefix + "g"
	k := openKafka(t, o)
	box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Publish(t.Context(), setting("key", 1)); err != nil {
		t.Fatal(err)
	}
	readAll(t, box, 1)
	members := func() int {
		t.Helper()
		groups, err := r.admin.DescribeConsumerGroups([]string{group})
		if err != nil || len(groups) != 1 {
			t.Fatalf("%d groups, %v", len(groups), err)
		}
		return len(groups[0].Members)
	}
	if n := members(); n != 1 {
		t.Errorf("%d members at work", n)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if n := members(); n != 0 {
		t.Errorf("%d members are left", n)
	}
}

// foreignKafka: what a person's own tool writes, without any header, is accepted; what can't be read is a message that says
// so; dead letters carry the reason in a header, too.
func foreignKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	k := openKafka(t, o)
	defer closed(t, k)
	box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	r.broker.Tool(t, "k1:{\"setting\":\"mode\",\"generation\":4}\nk2:{\"setting\":\n", kafkatest.ConsoleProducer,
		"--topic", o.Prefix+string(event.ConfigUpdates), "--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
	got := readAll(t, box, 2)
	slices.SortFunc(got, func(a, b *bus.Message) int { return strings.Compare(a.Key(), b.Key()) })
	bad, good := got[0], got[1]
	if e, ok := good.Event.(*event.ConfigUpdate); !ok || e.Setting != "mode" || e.Generation != 4 || good.ID == "" || time.Since(good.Time) > time.Hour {
		t.Errorf("read %+v", good)
	}
	var cause *bus.DecodeError
	if bad.Key() != "k2" || bad.Event != nil || !errors.As(bad.Err, &cause) || string(bad.Payload) != `{"setting":` {
		t.Errorf("read %+v", bad)
	}
	letter := &event.DeadLetter{From: event.ConfigUpdates, ID: bad.ID, Subject: bad.Key(), Agent: "a", Error: "it ends early", At: time.Now(), Payload: bad.Payload}
	if err := k.Publish(t.Context(), bus.NewMessage(letter, time.Now())); err != nil {
		t.Fatal(err)
	}
	out := r.broker.Tool(t, "", kafkatest.ConsoleConsumer, "--topic", o.Prefix+"config-updates.dlq", "--from-beginning", "--max-messages", "1",
		"--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
	for _, want := range []string{"ce_reason:it ends early", "ce_type:aura.deadletter", "ce_specversion:1.0", "content-type:application/json", `"error":"it ends early"`, "k2"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

// topicsKafka: all topics are there after the first call, as they should be, and the second one changes nothing.
func topicsKafka(t *testing.T, r *kafkaRig) {
	o := bus.KafkaOptions{Brokers: []string{r.broker.Addr()}, Prefix: "whole-"}
	created, err := bus.EnsureTopics(o, bus.KafkaTopics{Partitions: 5})
	if err != nil || len(created) != 26 {
		t.Fatalf("%d topics created, %v: %v", len(created), created, err)
	}
	if again, err := bus.EnsureTopics(o, bus.KafkaTopics{Partitions: 7}); err != nil || len(again) != 0 {
		t.Errorf("a second time: %v, %v", again, err)
	}
	all, err := r.admin.ListTopics()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		partitions int32
		key, value string
	}{
		"applications":       {5, "retention.ms", "604800000"},
		"raw-events":         {5, "retention.ms", "86400000"},
		"predictions":        {5, "retention.ms", "86400000"},
		"agent-metrics":      {3, "retention.ms", "3600000"},
		"config-updates":     {1, "cleanup.policy", "compact"},
		"incident-log":       {3, "retention.ms", "2592000000"},
		"policy-decisions":   {3, "retention.ms", "2592000000"},
		"features.dlq":       {1, "retention.ms", "2592000000"},
		"config-updates.dlq": {1, "retention.ms", "2592000000"},
	} {
		d, ok := all[o.Prefix+name]
		if !ok || d.NumPartitions != want.partitions || d.ConfigEntries[want.key] == nil || *d.ConfigEntries[want.key] != want.value {
			t.Errorf("topic %s: %+v", name, d)
		}
	}
}

// killedKafka kills the broker under load. Publishers and readers go on by themselves when it is back: every message that
// was published arrives in its group and at who only watches, in the order of its key where each is seen first.
func killedKafka(t *testing.T, r *kafkaRig) {
	k := openKafka(t, r.options(t))
	defer closed(t, k)
	group, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Capacity: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const keys = 5
	var sent, failed atomic.Int64
	var back atomic.Pointer[time.Time]
	first := make(chan time.Duration, 1)
	stop := make(chan struct{})
	total := make(chan int64)
	go func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				total <- i
				return
			default:
			}
			for k.Publish(ctx, setting(fmt.Sprint("key", i%keys), int(i))) != nil && ctx.Err() == nil {
				failed.Add(1)
				time.Sleep(10 * time.Millisecond) // as who tries again does
			}
			sent.Store(i)
			if at := back.Load(); at != nil {
				select {
				case first <- time.Since(*at):
				default:
				}
			}
		}
	}()
	until := func(n int64) {
		t.Helper()
		for sent.Load() < n {
			if ctx.Err() != nil {
				t.Fatalf("%d of %d published", sent.Load(), n)
			}
			time.Sleep(time.Millisecond) // nothing signals the count
		}
	}
	until(200)
	r.broker.Kill(t)
	during := sent.Load()
	r.broker.Restart(t)
	at := time.Now()
	back.Store(&at)
	until(during + 200)
	close(stop)
	n := int(<-total)
	for name, box := range map[string]bus.Mailbox{"the group": group, "the watcher": watcher} {
		last := map[string]int64{}
		seen := map[int64]bool{}
		for len(seen) < n {
			for _, m := range readAll(t, box, min(100, n-len(seen))) {
				i := m.Event.(*event.ConfigUpdate).Generation
				if !seen[i] && i <= last[m.Key()] && i >= keys {
					t.Errorf("%s saw %d of %s after %d", name, i, m.Key(), last[m.Key()])
				}
				seen[i], last[m.Key()] = true, max(i, last[m.Key()])
			}
		}
	}
	t.Logf("%d published, %d calls failed meanwhile, first success %v after the broker was ready", n, failed.Load(), (<-first).Round(time.Millisecond))
}

// TestKafkaSecured: a broker that demands TLS and SASL/SCRAM gets both, and who can't show them is refused.
func TestKafkaSecured(t *testing.T) {
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			broker := kafkatest.Start(t, kafkatest.Secured(mechanism))
			right := bus.KafkaOptions{Brokers: []string{broker.Addr()}, Security: bus.KafkaSecurity{
				Mechanism: mechanism, User: kafkatest.User, Password: kafkatest.Password, TLS: true, CA: broker.CA(),
			}}
			for name, change := range map[string]func(*bus.KafkaSecurity){
				"plain text":        func(s *bus.KafkaSecurity) { *s = bus.KafkaSecurity{} },
				"no name":           func(s *bus.KafkaSecurity) { s.Mechanism = "" },
				"a wrong password":  func(s *bus.KafkaSecurity) { s.Password += "x" },
				"another authority": func(s *bus.KafkaSecurity) { s.CA = "" },
			} {
				wrong := right
				change(&wrong.Security)
				if k, err := bus.NewKafka(wrong); err == nil {
					t.Errorf("%s was let in", name)
					closed(t, k)
				} else if strings.Contains(err.Error(), kafkatest.Password) {
					t.Errorf("the password is in %v", err)
				} else {
					t.Logf("%s: %v", name, err)
				}
			}
			if _, err := bus.EnsureTopics(right, bus.KafkaTopics{Partitions: 3}); err != nil {
				t.Fatal(err)
			}
			k := openKafka(t, right)
			defer closed(t, k)
			box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Publish(t.Context(), setting("mode", 1)); err != nil {
				t.Fatal(err)
			}
			readAll(t, box, 1)
		})
	}
}

// lazyKafka: a lazy mailbox delivers messages undecoded, by their key, and Open decodes each once.
func lazyKafka(t *testing.T, r *kafkaRig) {
	k := openKafka(t, r.options(t))
	defer closed(t, k)
	box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g", Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Publish(t.Context(), setting("mode", 7)); err != nil {
		t.Fatal(err)
	}
	if err := k.Publisher().Publish(string(event.ConfigUpdates), message.NewMessage("bad", []byte(`{"setting":`))); err != nil {
		t.Fatal(err)
	}
	for _, m := range readAll(t, box, 2) {
		if m.Event != nil || m.Err != nil {
			t.Errorf("decoded already: %+v", m)
		}
		m.Open()
		m.Open()
		e, ok := m.Event.(*event.ConfigUpdate)
		if good := ok && e.Generation == 7 && m.Key() == "mode" && m.Err == nil; !good && (ok || m.Err == nil || m.ID != "bad") {
			t.Errorf("opened: %+v", m)
		}
	}
}

// closedWithoutKafka: without a broker a transport still closes, soon, and who publishes or takes is told.
func closedWithoutKafka(t *testing.T, r *kafkaRig) {
	o := r.options(t)
	o.Member = "m"
	k := openKafka(t, o)
	group, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Subscriber().Subscribe(t.Context(), string(event.ConfigUpdates)); err != nil {
		t.Fatal(err)
	}
	if err := k.Publish(t.Context(), setting("mode", 1)); err != nil {
		t.Fatal(err)
	}
	readAll(t, group, 1)
	r.broker.Kill(t)
	if err := k.Publish(t.Context(), setting("mode", 2)); err == nil {
		t.Error("published without a broker")
	}
	begun := time.Now()
	if err := k.Close(); err != nil {
		t.Logf("close: %v", err) // it may say what it could not do
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("it took %v", took.Round(time.Millisecond))
	}
	if err := k.Publish(t.Context(), setting("mode", 3)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := group.Lanes()[0].Take(t.Context(), 1); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("take: %v", err)
	}
}
