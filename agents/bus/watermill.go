package bus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// Quiet is a log for Watermill's own words, without its everyday ones.
func Quiet(log *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
}

// publisher is Watermill's view of a transport for those who write. It belongs to the transport: Close does nothing,
// because Watermill's router closes a publisher with the first handler that stops.
type publisher struct {
	wait    time.Duration
	publish func(context.Context, event.Topic, []*message.Message) error
}

func (p publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(messages[0].Context(), p.wait)
	defer cancel()
	return p.publish(ctx, event.Topic(topic), messages)
}

func (publisher) Close() error { return nil }

// subscribers makes Watermill subscribers over mailboxes in memory and ends them with the transport.
type subscribers struct {
	options MemoryOptions
	open    func(event.Topic, string) (*mailbox, error)

	mu   sync.Mutex
	live map[*subscriber]bool
	// turns holds, for each lane that Watermill subscriptions share, the right to have a message in flight.
	turns map[*lane]chan struct{}
}

func newSubscribers(o MemoryOptions, open func(event.Topic, string) (*mailbox, error)) *subscribers {
	return &subscribers{options: o, open: open, live: map[*subscriber]bool{}, turns: map[*lane]chan struct{}{}}
}

// subscriber returns a new subscriber of a group; without a group each subscription sees everything.
func (all *subscribers) subscriber(group string) *subscriber {
	s := &subscriber{all: all, group: group, early: map[event.Topic][]*mailbox{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// turn returns the token of a lane. A token of a closed lane stays with its transport.
func (all *subscribers) turn(l *lane) chan struct{} {
	all.mu.Lock()
	defer all.mu.Unlock()
	t := all.turns[l]
	if t == nil {
		t = make(chan struct{}, 1)
		all.turns[l] = t
	}
	return t
}

func (all *subscribers) close() {
	all.mu.Lock()
	live := make([]*subscriber, 0, len(all.live))
	for s := range all.live {
		live = append(live, s)
	}
	all.mu.Unlock()
	for _, s := range live {
		_ = s.Close()
	}
}

// subscriber is Watermill's view of a transport for those who read. At most one message of a lane is in flight: it is
// acked, or nacked and delivered again after NackDelay, before the next one comes.
type subscriber struct {
	all    *subscribers
	group  string
	ctx    context.Context //nolint:containedctx // the subscriber's life, as Watermill's Close wants it
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
	early   map[event.Topic][]*mailbox // opened by SubscribeInitialize, not yet subscribed
}

var (
	_ message.Subscriber           = (*subscriber)(nil)
	_ message.SubscribeInitializer = (*subscriber)(nil)
)

// SubscribeInitialize opens what the next Subscribe of the topic reads, so that it gets everything from now on.
func (s *subscriber) SubscribeInitialize(topic string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.register()
	box, err := s.all.open(event.Topic(topic), s.group)
	if err != nil {
		return err
	}
	if s.group == "" {
		s.early[box.topic] = append(s.early[box.topic], box)
	}
	return nil
}

// Subscribe implements message.Subscriber. The channel is closed when ctx, the subscriber or the transport ends; a
// private subscription then loses what it has not acked, a group's gets it back.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.register()
	box, err := s.mailbox(event.Topic(topic))
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	var lanes sync.WaitGroup
	for _, l := range box.lanes {
		d := delivery{lane: l, turn: s.all.turn(l), out: out, options: s.all.options}
		lanes.Go(func() { d.run(ctx) })
	}
	s.running.Go(func() {
		lanes.Wait()
		stop()
		cancel()
		if s.group == "" {
			_ = box.Close()
			s.all.forget(box)
		}
		close(out)
	})
	return out, nil
}

// mailbox opens the subscription's mailbox, or takes one that was opened early.
func (s *subscriber) mailbox(topic event.Topic) (*mailbox, error) {
	if early := s.early[topic]; len(early) > 0 {
		s.early[topic] = early[1:]
		return early[0], nil
	}
	return s.all.open(topic, s.group)
}

// register makes the transport's Close find this subscriber. It comes before a mailbox is opened: whoever opens one just
// before the transport closes is then waited for.
func (s *subscriber) register() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.live[s] = true
}

// forget drops the tokens of a private mailbox.
func (all *subscribers) forget(b *mailbox) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, l := range b.lanes {
		delete(all.turns, l)
	}
}

// Close implements message.Subscriber: it returns when all channels are closed. It is idempotent.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	early := s.early
	s.early = nil
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	for _, boxes := range early {
		for _, b := range boxes {
			_ = b.Close()
		}
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	delete(s.all.live, s)
	return nil
}
