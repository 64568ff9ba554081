package ingestion

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"aura/agents"
	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tracing"
	"aura/healing/detect"
	"aura/store"
)

const (
	// deskTopic is where submissions wait. It never leaves the process: the bus carries only what is committed.
	deskTopic event.Topic = "intake"
	// deskLanes is how many commits of ours may be under way at once; each lane waits for its own.
	deskLanes = 16
)

// submission is applications that somebody waits to be taken in. It owns their places in the window until settled.
type submission struct {
	applications []Application
	rows         []store.Application
	wait         bool
	answer       chan answer // with room for the one answer
	settled      atomic.Bool // by the life that committed it first
}

type answer struct {
	receipts []Receipt
	err      error
}

// Topic, Type and Key make a submission an event of the desk.
func (*submission) Topic() event.Topic { return deskTopic }
func (*submission) Type() string       { return "aura.application.submitted" }
func (s *submission) Key() string      { return s.rows[0].ID }

// Transport is the bus as the supervisor of this agent needs it: the desk's lanes here, everything else on main.
func (in *Intake) Transport(main bus.Transport) bus.Transport { return deskTransport{main, in.desk} }

type deskTransport struct {
	bus.Transport
	desk *bus.Memory
}

func (d deskTransport) Mailbox(o bus.MailboxOptions) (bus.Mailbox, error) {
	if o.Topic == deskTopic {
		return d.desk.Mailbox(o)
	}
	return d.Transport.Mailbox(o)
}

// Spec describes the agent.
func (in *Intake) Spec() agents.Spec {
	var counts func() *detect.Counts
	if in.counts != nil {
		counts = in.counts.take
	}
	return agents.Spec{
		Counts:     counts,
		Name:       Name,
		Inputs:     []agents.Input{{Topic: deskTopic}},
		NewHandler: func(agents.Life) agents.Handler { return &clerk{intake: in} },
		GiveUp:     in.giveUp,
	}
}

// giveUp answers a submission that the agent failed three times; nothing of it was committed by those tries.
func (in *Intake) giveUp(_ context.Context, m *bus.Message, cause error) error {
	s, ok := m.Event.(*submission)
	if ok && s.settled.CompareAndSwap(false, true) {
		in.Window.Release(len(s.rows))
		s.answer <- answer{err: fmt.Errorf("ingestion: not taken in after three attempts: %w", cause)}
	}
	return nil
}

// Close ends the desk: nobody is taken in any more.
func (in *Intake) Close() error { return in.desk.Close() }

// clerk is the handler of one lane of the desk.
type clerk struct {
	intake  *Intake
	pending []*submission
}

// Handle implements agents.Handler.
func (c *clerk) Handle(_ context.Context, m *bus.Message, _ *agents.Outbox) error {
	s, ok := m.Event.(*submission)
	if !ok {
		return fmt.Errorf("ingestion: %T at the desk", m.Event)
	}
	c.pending = append(c.pending, s)
	return nil
}

// Finish implements agents.Finisher: it commits, answers and publishes. A store that can't take it now is the callers'
// answer, not a reason to keep them waiting.
func (c *clerk) Finish(ctx context.Context, _ *agents.Outbox) error {
	pending := c.pending
	c.pending = c.pending[:0:0]
	var rows []store.Application
	for _, s := range pending {
		rows = append(rows, s.rows...)
	}
	if len(rows) == 0 {
		return nil
	}
	in := c.intake
	results, err := in.Store.Accept(ctx, rows)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ingestion: commit: %w", err) // this life is over: the next one does it again
	}
	var fresh []*bus.Message
	now := in.Now()
	for _, s := range pending {
		if !s.settled.CompareAndSwap(false, true) {
			results = results[min(len(s.rows), len(results)):]
			continue
		}
		if err != nil {
			in.Window.Release(len(s.rows))
			s.answer <- answer{err: fmt.Errorf("ingestion: commit: %w", err)}
			continue
		}
		receipts := make([]Receipt, len(s.rows))
		for i := range s.rows {
			receipts[i] = in.receive(s.applications[i], results[i], now, s.wait, &fresh)
		}
		results = results[len(s.rows):]
		s.answer <- answer{receipts: receipts}
	}
	in.publish(ctx, fresh)
	return nil
}

// receive turns what the store says of one application into its receipt, and gives back or fills its place in the window.
func (in *Intake) receive(a Application, r store.AcceptResult, now time.Time, wait bool, fresh *[]*bus.Message) Receipt {
	subject := announce.Subject(r.Application)
	receipt := Receipt{Status: Known, Subject: subject, Decision: r.Decision}
	switch {
	case r.Status == store.Conflict:
		in.Window.Release(1)
		in.Counter.Refused(a.Source, "conflict")
		receipt.Status = Conflict
		return receipt
	case r.Decision != nil:
		in.Window.Release(1)
		return receipt
	case r.Status == store.New:
		in.Counter.Accepted(a.Source, 1)
		receipt.Status = Accepted
	}
	// New, or committed by a call whose answer got lost: either way it is on its way from here on.
	e := &event.RawEvent{Subject: subject, Features: a.Record}
	parent := traceParent(subject.TraceID)
	if tracing.TraceID(a.TraceParent) == subject.TraceID { // not so where an earlier call committed it
		parent = a.TraceParent
	}
	adopted, decision := in.Window.track(e, parent, time.Now().Add(in.SweepAfter), in.SweepAfter, wait)
	receipt.Wait = decision
	if adopted {
		m := bus.NewMessage(e, now)
		m.TraceParent = parent
		*fresh = append(*fresh, m)
	}
	return receipt
}
