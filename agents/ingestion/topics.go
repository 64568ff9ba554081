package ingestion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tracing"
	"aura/mlops/schema"
	"aura/store"
	"aura/store/complaint"
)

// SourceKafka is the source of applications that came over a topic.
const SourceKafka = "kafka"

// Taker is the intake as Topics knows it; *Intake implements it.
type Taker interface {
	Submit(ctx context.Context, block, wait bool, applications ...Application) ([]Receipt, error)
	Feedback(ctx context.Context, outcomes ...Outcome) ([]store.FeedbackResult, error)
}

// TopicsOptions of the intake by topics.
type TopicsOptions struct {
	Intake Taker
	Parse  func(features []byte) (schema.Record, error)
	// Known says which of the ids are of applications that were accepted.
	Known     func(ctx context.Context, ids []string) (map[string]bool, error)
	Transport bus.Transport
	Counter   Counter
	// Limit is how many messages are taken together; it must be well below the window.
	Limit int
	Now   func() time.Time
	Log   *slog.Logger
}

// Topics takes applications and outcomes from the topics of these names, in the agent's group. A message is acked when what
// it says is committed, or when it is with the dead letters: it can't be read, the schema refuses it, or what is known says
// otherwise. Applications are known by their id, so that one which is delivered again is taken once. A full window or a
// store that is away make it wait.
type Topics struct {
	TopicsOptions
	applications, outcomes bus.Mailbox
	failing                complaint.Log
}

// NewTopics opens the two mailboxes.
func NewTopics(o TopicsOptions) (*Topics, error) {
	t := &Topics{TopicsOptions: o}
	var err error
	if t.applications, err = o.Transport.Mailbox(bus.MailboxOptions{Topic: event.Applications, Group: event.Group(Name)}); err != nil {
		return nil, fmt.Errorf("ingestion: %w", err)
	}
	if t.outcomes, err = o.Transport.Mailbox(bus.MailboxOptions{Topic: event.Outcomes, Group: event.Group(Name)}); err != nil {
		return nil, errors.Join(fmt.Errorf("ingestion: %w", err), t.applications.Close())
	}
	return t, nil
}

// Depth counts what waits in both topics.
func (t *Topics) Depth() int { return t.applications.Depth() + t.outcomes.Depth() }

// Run reads until ctx ends. What is in hand then is delivered again after the next start.
func (t *Topics) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	for _, l := range t.applications.Lanes() {
		lanes.Go(func() { t.follow(ctx, l, t.submit) })
	}
	for _, l := range t.outcomes.Lanes() {
		lanes.Go(func() { t.follow(ctx, l, t.report) })
	}
	lanes.Wait()
}

// The pauses after a failure, of the store mostly.
const (
	topicsPause    = 100 * time.Millisecond
	topicsPauseMax = 2 * time.Second
)

// follow hands a lane's messages to take, which says which of them are dead and why.
func (t *Topics) follow(ctx context.Context, l bus.Lane, take func(context.Context, []*bus.Message) ([]*event.DeadLetter, error)) {
	pause := topicsPause
	for {
		batch, err := l.Take(ctx, t.Limit)
		if err != nil {
			return // the process or the bus ends
		}
		letters, err := take(ctx, batch)
		if err == nil {
			err = t.bury(ctx, letters)
		}
		if err == nil {
			l.Ack(len(batch))
			pause = topicsPause
			continue
		}
		l.Return()
		if ctx.Err() != nil || errors.Is(err, ErrStopping) {
			return
		}
		t.failing.Say(t.Log, slog.LevelWarn, "what came over a topic can't be taken in; it waits", "err", err)
		if !pauseFor(ctx, pause) {
			return
		}
		pause = min(2*pause, topicsPauseMax)
	}
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// bury publishes dead letters.
func (t *Topics) bury(ctx context.Context, letters []*event.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	messages := make([]*bus.Message, len(letters))
	for i, letter := range letters {
		messages[i] = bus.NewMessage(letter, letter.At)
	}
	return t.Transport.Publish(ctx, messages...)
}

func (t *Topics) letter(topic event.Topic, m *bus.Message, why string) *event.DeadLetter {
	return &event.DeadLetter{From: topic, ID: m.ID, Subject: m.Key(), Agent: Name, Error: why, At: t.Now(), Payload: m.Payload}
}

// submit takes in the applications of a batch, in one commit.
func (t *Topics) submit(ctx context.Context, batch []*bus.Message) (dead []*event.DeadLetter, err error) {
	var in []Application
	var of []*bus.Message
	for _, m := range batch {
		a, err := t.application(m)
		if err != nil {
			t.Counter.Refused(SourceKafka, "invalid")
			dead = append(dead, t.letter(event.Applications, m, err.Error()))
			continue
		}
		in, of = append(in, a), append(of, m)
	}
	if len(in) == 0 {
		return dead, nil
	}
	receipts, err := t.Intake.Submit(ctx, true, false, in...)
	if err != nil {
		return nil, err
	}
	for i, r := range receipts {
		if r.Status == Conflict {
			dead = append(dead, t.letter(event.Applications, of[i], "this application_id is known with other features"))
		}
	}
	return dead, nil
}

// application reads one message. Without an id of its own it has the message's key, or else the message's place, so that it
// is the same one when it comes again.
func (t *Topics) application(m *bus.Message) (Application, error) {
	e, ok := m.Event.(*event.Submitted)
	if !ok {
		return Application{}, m.Err
	}
	id := m.Key()
	if id == "" {
		id = m.ID
	}
	if err := checkID(id); err != nil {
		return Application{}, err
	}
	if len(e.Features) == 0 {
		return Application{}, errors.New("features are missing")
	}
	record, err := t.Parse(e.Features)
	if err != nil {
		return Application{}, err
	}
	a := Application{ApplicationID: id, Record: record, Source: SourceKafka}
	if _, ok := tracing.Parse(m.TraceParent); ok {
		a.TraceID, a.TraceParent = tracing.TraceID(m.TraceParent), m.TraceParent
	}
	return a, nil
}

// maxID is the longest id of a client, in bytes.
const maxID = 200

var errID = errors.New("application_id must be 1 to 200 bytes without control characters")

func checkID(id string) error {
	bad := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if id == "" || len(id) > maxID || id == "." || id == ".." || strings.ContainsFunc(id, bad) {
		return errID
	}
	return nil
}

// report commits the outcomes of a batch. One that names no application waits while applications still come: its own may be
// among them.
func (t *Topics) report(ctx context.Context, batch []*bus.Message) (dead []*event.DeadLetter, err error) {
	var in []Outcome
	var of []*bus.Message
	for _, m := range batch {
		o, err := observed(m, t.Now())
		if err != nil {
			dead = append(dead, t.letter(event.Outcomes, m, err.Error()))
			continue
		}
		in, of = append(in, o), append(of, m)
	}
	for tries := 0; len(in) > 0; tries++ {
		ids := make([]string, len(in))
		for i, o := range in {
			ids[i] = o.ApplicationID
		}
		known, err := t.Known(ctx, ids)
		if err != nil {
			return nil, err
		}
		last := tries >= unknownTries && t.applications.Depth() == 0
		var now, later []Outcome
		var whose, whoseLater []*bus.Message
		for i, o := range in {
			if known[o.ApplicationID] || last {
				now, whose = append(now, o), append(whose, of[i])
			} else {
				later, whoseLater = append(later, o), append(whoseLater, of[i])
			}
		}
		letters, err := t.commit(ctx, now, whose)
		if err != nil {
			return nil, err
		}
		dead = append(dead, letters...)
		in, of = later, whoseLater
		if len(in) > 0 && !pauseFor(ctx, unknownPause) {
			return nil, ctx.Err()
		}
	}
	return dead, nil
}

// commit reports outcomes, and says which of them don't count and why.
func (t *Topics) commit(ctx context.Context, in []Outcome, of []*bus.Message) (dead []*event.DeadLetter, err error) {
	if len(in) == 0 {
		return nil, nil
	}
	results, err := t.Intake.Feedback(ctx, in...)
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		switch r.Kind {
		case store.Contradicting:
			dead = append(dead, t.letter(event.Outcomes, of[i], "another outcome of this application is known"))
		case store.Unknown:
			dead = append(dead, t.letter(event.Outcomes, of[i], "no application has this application_id"))
		}
	}
	return dead, nil
}

// How often an outcome of no known application is looked at again, and when.
const (
	unknownTries = 2
	unknownPause = time.Second
)

func observed(m *bus.Message, now time.Time) (Outcome, error) {
	e, ok := m.Event.(*event.Observed)
	if !ok {
		return Outcome{}, m.Err
	}
	if err := checkID(e.ApplicationID); err != nil {
		return Outcome{}, err
	}
	if !e.Outcome.Valid() {
		return Outcome{}, fmt.Errorf("outcome %q is neither %s nor %s", e.Outcome, event.Repaid, event.Defaulted)
	}
	at := e.ObservedAt
	switch said := !at.IsZero(); {
	case !said && CheckObservedAt(m.Time, now) == nil:
		at = m.Time
	case !said: // a record's time may say nothing
		at = now
	default:
		if err := CheckObservedAt(at, now); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{ApplicationID: e.ApplicationID, Outcome: e.Outcome, ObservedAt: at}, nil
}
