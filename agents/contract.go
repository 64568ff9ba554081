// Package agents runs agents: the contract, the supervisor, mailbox loops, incarnations and fencing.
//
// An agent is a Spec: a name, the topics it reads and a constructor of handlers. The supervisor owns everything that
// moves: subscriptions, one loop a lane, one watchdog, restarts. A mailbox outlives its agent; a life of an agent (an
// incarnation, numbered by the store) owns only handlers. Handlers of one lane are called one event at a time, in
// order; handlers of different lanes run at the same time and share nothing unless the agent makes it safe.
//
// Blocking: a handler may block as long as its context lives. Past the stage deadline the context is cancelled: who
// then returns is slow (the message is tried again with a longer deadline), who doesn't within the grace is hung, and
// its life ends: it is abandoned and fenced, its late result refused and counted.
//
// Order: messages of one key are handled in the order of their publication, but for one that failed: it is set aside
// (acked in its lane, kept by the supervisor, at most 64 a lane) and tried again while the others go on. Three failures
// that count end in GiveUp; one counts if the agent finished something since the last. Delivery is at least once.
//
// Tests run in testing/synctest over the memory bus: restart, crash, hang, latency and error storms under load.
//
// The package imports agents/event, agents/bus, healing/detect (the counts that travel with a heartbeat); agents/fault only
// through the Injector interface.
package agents

import (
	"context"
	"errors"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/detect"
)

// ErrNotReady is returned by a handler that can't work yet and knows it isn't the message's fault (no model loaded,
// the store is down). The message waits at its lane's head and is tried again; no strike or failure is counted.
var ErrNotReady = errors.New("agents: not ready")

// Life names one incarnation's handler: which agent, which instance, which life, which lane of which topic.
type Life struct {
	Agent       string
	Instance    string
	Incarnation int64
	Topic       event.Topic
	Lane        int
}

// Holder is the instance's name where it holds a lease: of all processes', no two instances share one.
func (l Life) Holder() string { return l.Agent + "/" + l.Instance }

// Handler handles the events of one lane in one life.
type Handler interface {
	// Handle does the work for one message and adds what it yields to out. What out got is published only if Handle
	// returns nil and the life still owns the lane.
	Handle(ctx context.Context, m *bus.Message, out *Outbox) error
}

// Finisher is a Handler whose work ends once a batch: Finish is called after the last event of a batch (or of the part
// that was handled before a failure), before results are published and messages acked. On an error the batch is
// delivered again, without a strike.
type Finisher interface {
	Handler
	Finish(ctx context.Context, out *Outbox) error
}

// Input is a topic that an agent reads.
type Input struct {
	Topic event.Topic
	// Everywhere: each process' agent sees every message, from now on. Otherwise the agents of all processes share the
	// topic as one group.
	Everywhere bool
	// Lazy: most messages are dropped by the filter, which doesn't look into them; the others are decoded after it.
	Lazy bool
	// Filter, if not nil, sees each batch before any handler or fault does and returns what shall be handled, in order;
	// the rest is acked unseen. It must not block.
	Filter func(now time.Time, lane int, batch []*bus.Message) []*bus.Message
}

// Spec describes an agent to the supervisor.
type Spec struct {
	Name   string
	Inputs []Input
	// NewHandler makes the handler of one lane for one life.
	NewHandler func(Life) Handler
	// Ready, if not nil, says why the agent cannot work yet (shown, and part of /readyz).
	Ready func() error
	// Restart is who starts the agent's next life, where that is not the supervisor's own policy.
	Restart RestartPolicy
	// Counts, if not nil, is asked once a slot for what the agent counted in it; it travels with the slot's heartbeat.
	Counts func() *detect.Counts
	// GiveUp ends the way of a message whose handler failed three times: it must see to it that the application is
	// decided all the same. On an error the message waits and GiveUp is called again later.
	GiveUp func(ctx context.Context, m *bus.Message, cause error) error
}

// Outbox collects what a handler yields.
type Outbox struct {
	messages []*bus.Message
	now      func() time.Time
	parent   string
}

// Emit adds an event; its message carries on the trace context of the message being handled.
func (o *Outbox) Emit(e event.Event) {
	m := bus.NewMessage(e, o.now())
	m.TraceParent = o.parent
	o.messages = append(o.messages, m)
}

// Injector is what injected faults do to a handler: nothing, wait, fail, panic or hang. agents/fault implements it.
type Injector interface {
	// Before is called before each event of the agent is handled, on the handler's goroutine. ctx is the event's; a hang
	// ignores it and ends with the fault.
	Before(ctx context.Context, agent string, life Life) error
}

// Incarnations hands out the numbers of lives; the store implements it, so that no number is used twice, also after a
// crash of the process.
type Incarnations interface {
	NextIncarnation(ctx context.Context, agent, instance string) (int64, error)
}

// State of an agent instance.
type State string

// States. A SLOW agent makes progress past its deadline; a HUNG or CRASHED one waits for its next incarnation; a
// QUARANTINED one gets none until a person restarts it (too many abandoned lives still running).
const (
	Starting    State = "STARTING"
	Running     State = "RUNNING"
	Slow        State = "SLOW"
	Hung        State = "HUNG"
	Crashed     State = "CRASHED"
	Quarantined State = "QUARANTINED"
	Stopped     State = "STOPPED"
)

// Status is a snapshot of one agent instance.
type Status struct {
	Agent, Instance string
	Incarnation     int64
	State           State
	// Since is when State began; Cause says why for CRASHED, HUNG and QUARANTINED.
	Since time.Time
	Cause string
	// Handled, Failed, Refused and Restarts count over the process' life; Zombies are abandoned handlers still running.
	Handled, Failed, Refused, Restarts int64
	Zombies                            int
	// Stuck says that no further life can be started now: as many abandoned ones as may be still run.
	Stuck bool
	// Queue is the depth over all lanes, QueueAge the age of the oldest message, InFlight handlers at work.
	Queue    int
	QueueAge time.Duration
	InFlight int
	// Rate is events a second and P50, P99 the handling times over the last seconds.
	Rate     float64
	P50, P99 time.Duration
	LastBeat time.Time
	NotReady string
}
