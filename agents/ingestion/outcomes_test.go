package ingestion

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/store"
)

// ledger is a store's joined outcomes and what of them is unannounced.
type ledger struct {
	backlog
	lock  sync.Mutex
	left  []string
	notes int // calls of Announced
	away  bool
}

func joined(id string) store.Feedback {
	p := 0.2
	return store.Feedback{ApplicationID: id, Kind: store.Joined, Outcome: store.Repaid, Decision: &store.Decision{ID: id, ApplicationID: id, Probability: &p}}
}

func (l *ledger) Unannounced(context.Context, int) (out []store.Feedback, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, id := range l.left {
		out = append(out, joined(id))
	}
	return out, nil
}

func (l *ledger) Announced(_ context.Context, ids []string) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.away {
		return errors.New("away")
	}
	l.notes++
	var left []string
	for _, id := range l.left {
		keep := true
		for _, x := range ids {
			keep = keep && x != id
		}
		if keep {
			left = append(left, id)
		}
	}
	l.left = left
	return nil
}

func (l *ledger) unannounced() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.left)
}

// caring runs the care for announcements in fake time; counted is how many outcomes monitoring was told of meanwhile, heard
// what came over the bus.
func caring(t *testing.T, l *ledger, do func(publish func(...string))) (counted int64, heard map[string]int) {
	t.Helper()
	heard = map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		main := bus.NewMemory(bus.MemoryOptions{Lanes: 2, Logger: log})
		box, err := main.Mailbox(bus.MailboxOptions{Topic: event.FeedbackTopic, Overflow: bus.DropOldest})
		if err != nil {
			t.Fatal(err)
		}
		other, err := main.Mailbox(bus.MailboxOptions{Topic: event.FeedbackTopic})
		if err != nil {
			t.Fatal(err)
		}
		in := New(Options{
			Schema: schema.Builtin(), Store: l, Publisher: main, Window: NewWindow(10), Counter: nobody{}, Now: time.Now, Log: log,
			SweepAfter: 5 * time.Second, View: &desired.View{},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			NewOutcomes(OutcomesOptions{Intake: in, Store: l, Log: log}).Run(ctx, box)
		}()
		synctest.Wait()
		do(func(ids ...string) {
			for _, id := range ids {
				if err := main.Publish(ctx, bus.NewMessage(announce.Feedback(joined(id)), time.Now())); err != nil {
					t.Error(err)
				}
			}
		})
		cancel()
		<-done
		for _, lane := range other.Lanes() {
			if lane.Len() == 0 {
				continue
			}
			batch, _ := lane.Take(t.Context(), 1000)
			for _, m := range batch {
				heard[m.Event.(*event.Feedback).ID]++
			}
		}
		if c := in.counts.Collector.Take(); c != nil {
			for _, o := range c.Outcomes {
				counted += o.N
			}
		}
		_ = in.Close()
		_ = main.Close()
	})
	return counted, heard
}

// TestWhatIsAnnouncedIsNoted in one write for many, and not announced again.
func TestWhatIsAnnouncedIsNoted(t *testing.T) {
	l := &ledger{}
	counted, heard := caring(t, l, func(publish func(...string)) {
		l.lock.Lock()
		l.left = []string{"a", "b", "c"}
		l.lock.Unlock()
		publish("a", "b", "c")
		time.Sleep(time.Minute)
	})
	if l.unannounced() != 0 || l.notes != 1 || counted != 0 || heard["a"] != 1 || len(heard) != 3 {
		t.Errorf("%d left, %d writes, %d counted, heard %v", l.unannounced(), l.notes, counted, heard)
	}
}

// TestWhatAnEarlierLifeLeftIsAnnouncedAndCounted: it died between commit and publication.
func TestWhatAnEarlierLifeLeftIsAnnouncedAndCounted(t *testing.T) {
	l := &ledger{left: []string{"a", "b"}}
	counted, heard := caring(t, l, func(func(...string)) { time.Sleep(time.Minute) })
	if l.unannounced() != 0 || counted != 2 || heard["a"] != 1 || heard["b"] != 1 {
		t.Errorf("%d left, %d counted, heard %v", l.unannounced(), counted, heard)
	}
}

// TestWhatThisLifeLostIsAnnouncedOnly: it was counted when it was committed.
func TestWhatThisLifeLostIsAnnouncedOnly(t *testing.T) {
	l := &ledger{}
	counted, heard := caring(t, l, func(func(...string)) {
		time.Sleep(time.Second)
		l.lock.Lock()
		l.left = []string{"a"}
		l.lock.Unlock()
		time.Sleep(time.Minute)
	})
	if l.unannounced() != 0 || counted != 0 || heard["a"] != 1 {
		t.Errorf("%d left, %d counted, heard %v", l.unannounced(), counted, heard)
	}
}

// TestAStopNotesWhatWasHeard, so that the next start has nothing to say again; a store that is away makes nothing be said twice.
func TestAStopNotesWhatWasHeard(t *testing.T) {
	l := &ledger{}
	_, heard := caring(t, l, func(publish func(...string)) {
		l.lock.Lock()
		l.left, l.away = []string{"a"}, true
		l.lock.Unlock()
		publish("a")
		time.Sleep(time.Minute)
		l.lock.Lock()
		l.left, l.away = []string{"a", "b"}, false
		l.lock.Unlock()
		publish("b")
		synctest.Wait()
	})
	if l.unannounced() != 0 || heard["a"] != 1 || heard["b"] != 1 {
		t.Errorf("%d left, heard %v", l.unannounced(), heard)
	}
}
