package app_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// stages is when each application passed each stage first, as the bus saw it, and every decision that was announced.
type stages struct {
	mu        sync.Mutex
	first     map[string]map[event.Topic]time.Time // by our id
	decisions map[string]map[string]bool           // by our id: facts
	problems  []string
	boxes     []bus.Mailbox
	done      func()
}

var way = []event.Topic{event.RawEvents, event.FeaturesTopic, event.Predictions, event.Decisions}

// listen hears everything that passes on the bus from now on, in mailboxes of its own.
func (r *running) listen(t *testing.T) *stages {
	t.Helper()
	s := &stages{first: map[string]map[event.Topic]time.Time{}, decisions: map[string]map[string]bool{}}
	var ends []func()
	for _, topic := range way {
		box, end := r.hear(t, topic, func(m *bus.Message) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.note(topic, m)
		})
		s.boxes, ends = append(s.boxes, box), append(ends, end)
	}
	s.done = func() {
		for _, end := range ends {
			end()
		}
	}
	return s
}

// hear calls f for every message of a topic from now on, from several goroutines, until end or the test's end.
func (r *running) hear(t *testing.T, topic event.Topic, f func(*bus.Message)) (box bus.Mailbox, end func()) {
	t.Helper()
	box, err := r.parts.Transport.Mailbox(bus.MailboxOptions{Topic: topic, Overflow: bus.DropOldest, Capacity: 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	for _, lane := range box.Lanes() {
		readers.Go(func() {
			for {
				batch, err := lane.Take(ctx, 1000)
				if err != nil {
					return
				}
				for _, m := range batch {
					f(m)
				}
				lane.Ack(len(batch))
			}
		})
	}
	end = sync.OnceFunc(func() { cancel(); readers.Wait() })
	t.Cleanup(end)
	return box, end
}

func (s *stages) note(topic event.Topic, m *bus.Message) {
	var subject event.Subject
	switch e := m.Event.(type) {
	case *event.RawEvent:
		subject = e.Subject
	case *event.Features:
		subject = e.Subject
	case *event.Prediction:
		subject = e.Subject
	case *event.Decision:
		subject = e.Subject
		if s.decisions[e.ID] == nil {
			s.decisions[e.ID] = map[string]bool{}
		}
		s.decisions[e.ID][sightingOf(e).facts()] = true
		if e.DecidedAt.Before(e.AcceptedAt) {
			s.problems = append(s.problems, fmt.Sprintf("%s was decided at %s, before it was accepted at %s", e.ID, e.DecidedAt, e.AcceptedAt))
		}
	default:
		s.problems = append(s.problems, fmt.Sprintf("%T on %s: %v", m.Event, topic, m.Err))
		return
	}
	if s.first[subject.ID] == nil {
		s.first[subject.ID] = map[event.Topic]time.Time{}
	}
	at := m.Time.Truncate(time.Microsecond)
	if before, ok := s.first[subject.ID][topic]; !ok || at.Before(before) {
		s.first[subject.ID][topic] = at
	}
	if at.Before(subject.AcceptedAt.Truncate(time.Microsecond)) {
		s.problems = append(s.problems, fmt.Sprintf("%s was on %s at %s, before it was accepted at %s", subject.ID, topic, at, subject.AcceptedAt))
	}
}

// check compares: one decision each, however often it was announced; and, on a bus that shows each message, the stages
// in order.
func (s *stages) check(t *testing.T, whole bool) {
	t.Helper()
	s.done()
	s.mu.Lock()
	defer s.mu.Unlock()
	problems := s.problems
	for id, facts := range s.decisions {
		if len(facts) != 1 {
			problems = append(problems, fmt.Sprintf("%s was announced with %d decisions: %v", id, len(facts), facts))
		}
	}
	for _, b := range s.boxes {
		if n := b.Dropped(); whole && n > 0 {
			t.Errorf("the test could not keep up: %d messages unseen", n)
		}
	}
	for id, at := range s.first {
		if !whole {
			break
		}
		for i := 1; i < len(way); i++ {
			earlier, later := at[way[i-1]], at[way[i]]
			if !later.IsZero() && (earlier.IsZero() || later.Before(earlier)) {
				problems = append(problems, fmt.Sprintf("%s was on %s at %s and on %s at %s", id, way[i-1], earlier, way[i], later))
			}
		}
	}
	for i, p := range problems {
		if i == 10 {
			t.Errorf("and %d more", len(problems)-i)
			break
		}
		t.Error(p)
	}
	if len(s.decisions) == 0 {
		t.Error("nothing was heard: the test is not what it says")
	}
	t.Logf("%d applications heard, %d decided", len(s.first), len(s.decisions))
}
