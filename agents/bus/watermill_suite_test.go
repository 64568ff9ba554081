package bus_test

import (
	"io"
	"log"
	"os"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"aura/agents/bus"
)

// grouped is what both transports in memory offer Watermill besides the contract.
type grouped interface {
	bus.Transport
	GroupSubscriber(group string) message.Subscriber
}

// inMemory lists the transports of this process with what they promise to Watermill's suite. Both keep a group's
// messages while it has no subscriber (Persistent: the suite publishes before it subscribes, SubscribeInitialize makes
// the group exist), give each group everything, and may deliver twice. Only Memory promises order.
func inMemory() map[string]struct {
	make     func(bus.MemoryOptions) grouped
	features tests.Features
} {
	type transport = struct {
		make     func(bus.MemoryOptions) grouped
		features tests.Features
	}
	return map[string]transport{
		"memory": {
			make:     func(o bus.MemoryOptions) grouped { return bus.NewMemory(o) },
			features: tests.Features{ConsumerGroups: true, GuaranteedOrder: true, Persistent: true},
		},
		"gochannel": {
			make:     func(o bus.MemoryOptions) grouped { return bus.NewGoChannel(o) },
			features: tests.Features{ConsumerGroups: true, Persistent: true},
		},
	}
}

// TestWatermill runs Watermill's universal Pub/Sub suite over each transport's groups.
func TestWatermill(t *testing.T) {
	quiet(t)
	for name, transport := range inMemory() {
		t.Run(name, func(t *testing.T) {
			b := transport.make(bus.MemoryOptions{Capacity: 20_000, NackDelay: time.Millisecond})
			t.Cleanup(func() { closed(t, b) })
			transport.features.ForceShort = testing.Short()
			tests.TestPubSub(t, transport.features,
				func(*testing.T) (message.Publisher, message.Subscriber) {
					return b.Publisher(), b.GroupSubscriber("suite")
				},
				func(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
					return b.Publisher(), b.GroupSubscriber(group)
				})
		})
	}
}

// TestWatermillPrivate runs those tests of the suite that fit a subscriber without a group, which sees what is
// published after SubscribeInitialize and has nobody to leave its messages to.
func TestWatermillPrivate(t *testing.T) {
	quiet(t)
	for name, transport := range inMemory() {
		features := transport.features
		features.ConsumerGroups, features.Persistent = false, false
		features.RequireSingleInstance, features.ForceShort = true, testing.Short()
		for test, run := range map[string]func(*testing.T, tests.TestContext, tests.PubSubConstructor){
			"PublishSubscribe":                  tests.TestPublishSubscribe,
			"ConcurrentSubscribe":               tests.TestConcurrentSubscribe,
			"ConcurrentSubscribeMultipleTopics": tests.TestConcurrentSubscribeMultipleTopics,
			"ResendOnError":                     tests.TestResendOnError,
			"NoAck":                             tests.TestNoAck,
			"PublishSubscribeInOrder":           tests.TestPublishSubscribeInOrder,
			"PublisherClose":                    tests.TestPublisherClose,
			"Topic":                             tests.TestTopic,
			"MessageCtx":                        tests.TestMessageCtx,
		} {
			t.Run(name+"/"+test, func(t *testing.T) {
				t.Parallel()
				b := transport.make(bus.MemoryOptions{Capacity: 20_000, NackDelay: time.Millisecond})
				t.Cleanup(func() { closed(t, b) })
				run(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
					func(*testing.T) (message.Publisher, message.Subscriber) { return b.Publisher(), b.Subscriber() })
			})
		}
	}
}

// TestStoppedHandlerLeavesTheBus: Watermill's router closes publisher and subscriber with the first handler that stops.
// On a shared GoChannel that was the end of everybody's bus.
func TestStoppedHandlerLeavesTheBus(t *testing.T) {
	for name, transport := range inMemory() {
		t.Run(name, func(t *testing.T) {
			b := transport.make(bus.MemoryOptions{})
			defer closed(t, b)
			router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
			if err != nil {
				t.Fatal(err)
			}
			nothing := func(*message.Message) ([]*message.Message, error) { return nil, nil }
			first := router.AddHandler("first", "in", b.GroupSubscriber("first"), "out", b.Publisher(), nothing)
			router.AddHandler("second", "in", b.GroupSubscriber("second"), "out", b.Publisher(),
				func(m *message.Message) ([]*message.Message, error) { return []*message.Message{m.Copy()}, nil })
			out, err := b.Subscriber().Subscribe(t.Context(), "out")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() { ended <- router.Run(t.Context()) }()
			<-router.Running()
			first.Stop()
			<-first.Stopped()
			if err := b.Publisher().Publish("in", message.NewMessage("id", []byte("x"))); err != nil {
				t.Fatal(err)
			}
			m := <-out
			if m.Ack(); m.UUID != "id" {
				t.Errorf("got %s", m.UUID)
			}
			if err := router.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// quiet stops the suite's chatter on the standard logger.
func quiet(t *testing.T) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

func closed(t *testing.T, b bus.Transport) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
