package ingestion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/store"
)

// taker is an intake that remembers what it took.
type taker struct {
	mu       sync.Mutex
	away     bool
	known    map[string]string // features by id
	outcomes map[string]event.Outcome
	submits  int
}

func (k *taker) Submit(_ context.Context, block, wait bool, in ...Application) ([]Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away || !block || wait {
		return nil, errors.New("away")
	}
	k.submits++
	out := make([]Receipt, len(in))
	for i, a := range in {
		raw, _ := a.Record.MarshalJSON()
		was, there := k.known[a.ApplicationID]
		switch {
		case !there:
			k.known[a.ApplicationID] = string(raw)
		case was == string(raw):
			out[i].Status = Known
		default:
			out[i].Status = Conflict
		}
	}
	return out, nil
}

func (k *taker) Feedback(_ context.Context, in ...Outcome) ([]store.FeedbackResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return nil, errors.New("away")
	}
	out := make([]store.FeedbackResult, len(in))
	for i, o := range in {
		was, there := k.outcomes[o.ApplicationID]
		_, ours := k.known[o.ApplicationID]
		switch {
		case !ours:
			out[i].Kind = store.Unknown
		case !there:
			out[i].Kind, k.outcomes[o.ApplicationID] = store.Joined, o.Outcome
		case was == o.Outcome:
			out[i].Kind = store.Duplicate
		default:
			out[i].Kind = store.Contradicting
		}
	}
	return out, nil
}

func (k *taker) Known(_ context.Context, ids []string) (map[string]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return nil, errors.New("away")
	}
	out := map[string]bool{}
	for _, id := range ids {
		_, out[id] = k.known[id]
	}
	return out, nil
}

func (k *taker) set(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

// topicsRig reads two topics of a memory bus in fake time.
type topicsRig struct {
	t      *testing.T
	bus    *bus.Memory
	taker  *taker
	topics *Topics
	dead   map[event.Topic]bus.Mailbox
}

func reading(t *testing.T, do func(r *topicsRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bus.NewMemory(bus.MemoryOptions{Lanes: 1})
		r := &topicsRig{t: t, bus: b, taker: &taker{known: map[string]string{}, outcomes: map[string]event.Outcome{}}, dead: map[event.Topic]bus.Mailbox{}}
		var err error
		r.topics, err = NewTopics(TopicsOptions{
			Intake: r.taker, Parse: schema.Builtin().ParseRecord, Known: r.taker.Known, Transport: b, Counter: silent{}, Limit: 10, Now: time.Now,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range []event.Topic{event.Applications, event.Outcomes} {
			if r.dead[topic], err = b.Mailbox(bus.MailboxOptions{Topic: topic.DLQ()}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.topics.Run(ctx) }()
		do(r)
		cancel()
		<-done
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// silent counts nothing.
type silent struct{}

func (silent) Accepted(string, int)   {}
func (silent) Refused(string, string) {}
func (silent) Feedback(string)        {}

// send publishes texts as a person's own tool does.
func (r *topicsRig) send(topic event.Topic, texts ...string) {
	r.t.Helper()
	for i, text := range texts {
		if err := r.bus.Publisher().Publish(string(topic), message.NewMessage(fmt.Sprintf("%s-0-%d", topic, i), []byte(text))); err != nil {
			r.t.Fatal(err)
		}
	}
}

// reasons are what the dead letters of a topic say, with the id of each.
func (r *topicsRig) reasons(topic event.Topic) (out []string) {
	r.t.Helper()
	lane := r.dead[topic].Lanes()[0]
	for lane.Len() > 0 {
		batch, err := lane.Take(r.t.Context(), 100)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range batch {
			d := m.Event.(*event.DeadLetter)
			out = append(out, d.Subject+": "+d.Error)
		}
		lane.Ack(len(batch))
	}
	return out
}

const good = `{"credit_score": 540, "debt_ratio": 62, "income": 24000, "loan_amount": 30000, "employment_years": 1}`

func application(id, features string) string {
	return fmt.Sprintf(`{"application_id": %q, "features": %s}`, id, features)
}

// TestTopicsTakeInOnce: what comes twice is taken once, what has no id is known by its place, and what can't be taken is with
// the dead letters, with the reason, and holds nothing up.
func TestTopicsTakeInOnce(t *testing.T) {
	reading(t, func(r *topicsRig) {
		r.send(event.Applications,
			application("a", good), application("a", good), `{"features": `+good+`}`, `{"features": `, `{"application_id": "b"}`,
			application("c", `{"credit_score": 10}`), application("a", strings.Replace(good, "540", "541", 1)), `{"application_id": "x\u0001", "features": `+good+`}`,
			application("d", good))
		synctest.Wait()
		var ids []string
		for id := range r.taker.known {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []string{"a", "applications-0-2", "d"}) {
			t.Errorf("taken in: %v", ids)
		}
		got := strings.Join(r.reasons(event.Applications), "\n")
		for _, want := range []string{
			"unexpected end of JSON", "b: features are missing", "c: ", "credit_score", "a: this application_id is known with other features", "application_id must be",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q among the dead letters\n%s", want, got)
			}
		}
		if n := r.topics.Depth(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// TestTopicsWait: while the store is away nothing is acked and nobody is declared dead.
func TestTopicsWait(t *testing.T) {
	reading(t, func(r *topicsRig) {
		r.taker.set(true)
		r.send(event.Applications, application("a", good))
		r.send(event.Outcomes, `{"application_id": "a", "outcome": "repaid"}`)
		time.Sleep(time.Minute)
		if n := r.topics.Depth(); n != 2 || len(r.taker.known) != 0 {
			t.Errorf("%d wait, %d taken in", n, len(r.taker.known))
		}
		r.taker.set(false)
		time.Sleep(10 * time.Second)
		if n := r.topics.Depth(); n != 0 || len(r.taker.known) != 1 || len(r.taker.outcomes) != 1 {
			t.Errorf("%d wait, %d taken in, %d outcomes", n, len(r.taker.known), len(r.taker.outcomes))
		}
		if got := append(r.reasons(event.Applications), r.reasons(event.Outcomes)...); len(got) != 0 {
			t.Errorf("dead: %v", got)
		}
	})
}

// TestOutcomesByTopic: an outcome that is there before its application waits for it; one that nobody knows, contradicts or
// can't be read is with the dead letters.
func TestOutcomesByTopic(t *testing.T) {
	reading(t, func(r *topicsRig) {
		r.send(event.Outcomes, `{"application_id": "late", "outcome": "defaulted"}`, `{"application_id": "never", "outcome": "repaid"}`,
			`{"application_id": "late", "outcome": "lost"}`, `{"outcome": "repaid"}`,
			`{"application_id": "late", "outcome": "repaid", "observed_at": "2099-01-01T00:00:00Z"}`,
			`{"application_id": "late", "outcome": "repaid", "observed_at": "0026-11-29T00:00:00Z"}`)
		time.Sleep(1500 * time.Millisecond)
		if got := r.reasons(event.Outcomes); len(got) != 0 {
			t.Errorf("dead already: %v", got)
		}
		r.send(event.Applications, application("late", good))
		time.Sleep(5 * time.Second)
		r.send(event.Outcomes, `{"application_id": "late", "outcome": "repaid"}`, `{"application_id": "late", "outcome": "defaulted"}`)
		synctest.Wait()
		if r.taker.outcomes["late"] != event.Defaulted || len(r.taker.outcomes) != 1 {
			t.Errorf("outcomes %v", r.taker.outcomes)
		}
		got := strings.Join(r.reasons(event.Outcomes), "\n")
		for _, want := range []string{
			"never: no application has", "outcome \"lost\" is neither", "has no key", "late: another outcome",
			"late: observed_at is from 1970 to now, not 2099-01-01T00:00:00Z", "late: observed_at is from 1970 to now, not 0026-11-29T00:00:00Z",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q among the dead letters\n%s", want, got)
			}
		}
	})
}
