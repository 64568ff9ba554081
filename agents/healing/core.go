package healing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/incident"
	"aura/store"
)

// core is what one life of the agent knows: its lease and the incidents it has in hand. One event is applied at a time.
type core struct {
	*Agent
	life     agents.Life
	epoch    int64           // the lease's
	ctx      context.Context // ends with the life
	cancel   context.CancelFunc
	resolver resolver
	renewed  atomic.Int64 // when the lease was last renewed, in microseconds
	heard    atomic.Int64 // when monitoring last said something that it could see, in microseconds
	stopped  atomic.Bool  // as paused, for who doesn't want to wait
	lost     atomic.Bool  // the epoch is over, or what is in memory can't be trusted: begin anew

	mu        turn
	lease     store.Lease
	incidents map[string]*entry
	running   map[string]*execution // by action id
	queue     []pending             // events that follow from others, to be applied next
	notified  map[string]bool
	era       int64     // of desired state as last read
	seen      time.Time // when the clock was last looked at
	paused    bool
}

// entry is an incident in memory, as saved or a little newer (signals without consequence are not saved).
type entry struct {
	in      incident.Incident
	version int64
	saved   map[string]string // action rows as saved, by id
}

type pending struct {
	id string
	ev incident.Event
}

// closedFor is how long ended incidents are kept in mind beyond the relapse window's need, and how many.
const keepClosed = 200

// begin takes the lease for a life, loads what is open or lately closed, and does again what it implies.
func (a *Agent) begin(ctx context.Context, life agents.Life) (*core, error) {
	lease, err := a.o.Store.AcquireLease(ctx, store.LeaseHealing, life.Holder(), life.Incarnation, LeaseTTL)
	if err != nil {
		return nil, err
	}
	c := &core{
		Agent: a, life: life, epoch: lease.Epoch, lease: lease, incidents: map[string]*entry{}, running: map[string]*execution{},
		notified: map[string]bool{}, resolver: resolver{a.o.Store, a.o.Targets, a.o.Now}, mu: newTurn(),
	}
	c.ctx, c.cancel = context.WithCancel(a.closed)
	c.renewed.Store(a.o.Now().UnixMicro())
	c.heard.Store(a.o.Now().UnixMicro())
	rows, err := c.load(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.desired(ctx); err != nil {
		c.cancel()
		return nil, err
	}
	for _, row := range rows {
		var in incident.Incident
		if err := json.Unmarshal(row.Document, &in); err != nil {
			a.o.Log.Error("an incident can't be read; a person has to look at it", "incident", row.ID, "err", err)
			continue
		}
		c.incidents[in.ID] = &entry{in: in, version: row.Version, saved: map[string]string{}}
	}
	a.o.Log.Info("healing holds the lease", "epoch", lease.Epoch, "incarnation", life.Incarnation, "incidents", len(c.incidents))
	return c, c.resume(ctx)
}

// load reads what healing still has to do with, and what may relapse.
func (c *core) load(ctx context.Context) ([]store.IncidentRow, error) {
	open, err := c.o.Store.OpenIncidents(ctx)
	if err != nil {
		return nil, err
	}
	late, err := c.o.Store.Incidents(ctx, store.IncidentFilter{Status: store.IncidentResolved}, "", keepClosed)
	if err != nil {
		return nil, err
	}
	for _, row := range late {
		same := func(o store.IncidentRow) bool { return o.ID == row.ID }
		if !slices.ContainsFunc(open, same) && c.o.Now().Sub(row.UpdatedAt) <= c.relapseWindow() {
			open = append(open, row)
		}
	}
	return open, nil
}

func (c *core) relapseWindow() time.Duration {
	if w := c.o.Settings.RelapseWindow; w > 0 {
		return w
	}
	return incident.Defaults().RelapseWindow
}

// resume does again what each incident's state implies, and hands over what a person changed meanwhile.
func (c *core) resume(ctx context.Context) error {
	for _, id := range c.ids() {
		e := c.incidents[id]
		unsent, err := c.unsent(ctx, e.in)
		if err != nil {
			return err
		}
		out, fx := incident.Resume(e.in, c.o.Now(), unsent)
		if err := c.commit(ctx, e, out, fx, true, said{}); err != nil {
			return err
		}
		if err := c.superseded(ctx, out); err != nil {
			return err
		}
	}
	return c.drain(ctx)
}

// unsent reports whether an action was handed over by an earlier life and never took effect. It never will: whatever that
// life still writes is refused for its epoch.
func (c *core) unsent(ctx context.Context, in incident.Incident) (bool, error) {
	if in.State != incident.Executing {
		return false, nil
	}
	took, err := c.took(ctx, in.CurrentID)
	return err == nil && !took, err
}

// took reports whether an action, or a part of it, took effect.
func (c *core) took(ctx context.Context, id string) (bool, error) {
	for _, part := range []string{id, modelPart(id)} {
		_, err := c.o.Store.Executed(ctx, part)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// ids of incidents in the order of their opening.
func (c *core) ids() []string {
	out := make([]string, 0, len(c.incidents))
	for id := range c.incidents {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(c.incidents[a].in.OpenedAt.Compare(c.incidents[b].in.OpenedAt), cmp.Compare(a, b))
	})
	return out
}

// all incidents, for locks and grouping.
func (c *core) all() []incident.Incident {
	out := make([]incident.Incident, 0, len(c.incidents))
	for _, id := range c.ids() {
		out = append(out, c.incidents[id].in)
	}
	return out
}

// governs reports whether the lease was renewed, and monitoring heard, lately: who hears of no death restarts nobody.
func (c *core) governs() bool {
	now := c.o.Now()
	return !c.lost.Load() && !c.stopped.Load() && !c.o.DryRun &&
		now.Sub(time.UnixMicro(c.renewed.Load())) < LeaseTTL && now.Sub(time.UnixMicro(c.heard.Load())) < reportAge
}

// outcome turns an error of the core into what the supervisor should do with the message: what waits for the store waits
// at the lane's head; an epoch that is over ends this core, and the next message begins anew.
func (c *core) outcome(err error) error {
	var refused *store.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && (refused.Code == store.CodeStaleEpoch || refused.Code == store.CodeConflict):
		c.lost.Store(true)
		c.cancel()
	}
	return fmt.Errorf("%w: %w", agents.ErrNotReady, err)
}

// post applies an event that came from an execution.
func (c *core) post(id string, ev incident.Event) {
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, pending{id, ev})
	if err := c.outcome(c.drain(ctx)); err != nil && c.ctx.Err() == nil {
		// Unanswered effects are performed again, and say again what came of them.
		c.o.Log.Warn("what an execution said could not be saved; it is asked again", "incident", id, "event", ev.Type, "err", err)
	}
}

// maxFollow bounds the events that one event may lead to.
const maxFollow = 64

// drain applies what is queued, and what follows from it.
func (c *core) drain(ctx context.Context) error {
	for range maxFollow {
		if len(c.queue) == 0 {
			return nil
		}
		next := c.queue[0]
		c.queue = c.queue[1:]
		if err := c.apply(ctx, next.id, next.ev); err != nil {
			c.queue = nil // level-triggered: it is heard again
			return err
		}
	}
	c.queue = nil
	return nil
}

// apply steps one incident by one event.
func (c *core) apply(ctx context.Context, id string, ev incident.Event) error {
	e := c.incidents[id]
	if e == nil || c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	ev.Busy = incident.Locked(c.all(), e.in)
	out, fx, err := incident.Step(e.in, ev, c.o.Now())
	if err != nil {
		c.o.Log.Error("an event was refused by the incident machine", "incident", id, "event", ev.Type, "err", err)
		return nil
	}
	return c.commit(ctx, e, out, fx, len(fx) > 0 || !passing(ev.Type) || out.Waits() != e.in.Waits(), said{})
}

// passing events change nothing that a restart would miss unless they have effects.
func passing(t incident.EventType) bool {
	switch t {
	case incident.EvSignal, incident.EvShadow, incident.EvTick, incident.EvVerdict, incident.EvProgress:
		return true
	}
	return false
}

// said is what a person said, where that is what led to a step.
type said struct {
	audit   []store.AuditEntry
	request string // by which another process passed it on, if any
}

// commit saves a step, with what a person said, and then performs its effects.
func (c *core) commit(ctx context.Context, e *entry, out incident.Incident, fx []incident.Effect, save bool, by said) error {
	if !save {
		e.in = out
		return nil
	}
	w, follow, err := c.prepare(ctx, &out, fx)
	if err != nil {
		return err
	}
	w.Audit, w.Answers = append(w.Audit, by.audit...), by.request
	changed := c.actionRows(e, out, &w)
	c.o.hook("before save")
	row, err := c.o.Store.SaveIncident(ctx, c.lease.Epoch, rowOf(out, e.version), w)
	if err != nil {
		return fmt.Errorf("save incident %s: %w", out.ID, err)
	}
	for id, text := range changed {
		e.saved[id] = text
	}
	before := e.in
	e.in, e.version = out, row.Version
	c.o.Observe(before, out)
	c.trace(before, out)
	c.o.hook("after save")
	c.queue = append(c.queue, follow...)
	c.perform(ctx, out, fx)
	return nil
}

// publish sends events; a lost one is found by who polls or sweeps.
func (c *core) publish(ctx context.Context, in incident.Incident, events ...event.Event) {
	messages := make([]*bus.Message, len(events))
	for i, e := range events {
		messages[i] = bus.NewMessage(e, c.o.Now())
		messages[i].TraceParent = c.traceParent(in)
	}
	if err := c.o.Publisher.Publish(ctx, messages...); err != nil && ctx.Err() == nil {
		c.unheard.Say(c.o.Log, slog.LevelWarn, "events of an incident could not be published", "err", err)
	}
}
