package healing

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// tick renews the lease and lets time pass for every incident.
func (c *core) tick(ctx context.Context) error {
	if err := c.mu.take(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if err := c.pass(ctx); err != nil {
		return err
	}
	if err := c.passedOn(ctx); err != nil {
		return err
	}
	for _, id := range c.ids() {
		c.queue = append(c.queue, pending{id, incident.Event{Type: incident.EvTick}})
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	c.forget()
	return c.sweep(ctx)
}

// clockSlack is how far a clock may go back unnoticed.
const clockSlack = time.Second

// pass is what each message begins with: the lease is still held, desired state is read.
func (c *core) pass(ctx context.Context) error {
	now := c.o.Now()
	if now.Before(c.seen.Add(-clockSlack)) {
		// What was seen lies in the future now, and everything new before it: what is known is read anew, as after a restart.
		c.o.Log.Warn("the clock went back", "by", c.seen.Sub(now))
		c.lost.Store(true)
		c.cancel()
		return errors.New("healing: the clock went back")
	}
	c.seen = now
	if now.Sub(time.UnixMicro(c.renewed.Load())).Abs() >= LeaseTTL/5 {
		lease, err := c.o.Store.RenewLease(ctx, c.lease, LeaseTTL)
		if err != nil {
			return err
		}
		c.lease = lease
		c.renewed.Store(now.UnixMicro())
	}
	return c.desired(ctx)
}

// forget drops ended incidents that can't relapse any more.
func (c *core) forget() {
	now := c.o.Now()
	for id, e := range c.incidents {
		if e.in.State.Final() && now.Sub(e.in.ClosedAt) > c.relapseWindow() {
			delete(c.incidents, id)
		}
	}
}

// desired reads what people want: the kill switch, and changes of settings that incidents touch.
func (c *core) desired(ctx context.Context) error {
	state, err := c.o.Store.Desired(ctx)
	if err != nil {
		return err
	}
	if paused := state.Settings[policy.SettingPaused]; (paused.Value == "true") != c.paused {
		c.paused = paused.Value == "true"
		c.stopped.Store(c.paused)
		kind := incident.EvResume
		if c.paused {
			kind = incident.EvPause
		}
		c.o.Log.Warn("healing paused or resumed", "paused", c.paused, "by", paused.Owner, "reason", paused.Reason)
		for _, id := range c.ids() {
			c.queue = append(c.queue, pending{id, incident.Event{Type: kind, By: paused.Owner}})
		}
	}
	if c.era == 0 {
		c.era = state.Era // what happened before is found by superseded
	}
	if state.Era > c.era {
		return c.people(ctx, state.Era)
	}
	return nil
}

// historyPage is how many changes are read at once.
const historyPage = 100

// people hands changes of settings by persons to the incidents.
func (c *core) people(ctx context.Context, era int64) error {
	changes, err := c.o.Store.ConfigHistory(ctx, historyPage, 0)
	if err != nil {
		return err
	}
	for i := len(changes) - 1; i >= 0; i-- {
		if h := changes[i]; h.ID > c.era && h.Person {
			for _, id := range c.ids() {
				c.queue = append(c.queue, pending{id, personChanged(h)})
			}
		}
	}
	c.era = era
	return nil
}

func personChanged(h store.ConfigChange) incident.Event {
	setting := h.Setting.Setting
	if agent, _, is := store.AgentOf(setting); is {
		setting = "agent:" + agent
	}
	return incident.Event{Type: incident.EvPerson, At: h.ChangedAt, Setting: setting, Value: h.Value, By: h.Owner}
}

// superseded looks, after a restart, for persons' changes of what the incident's actions had set.
func (c *core) superseded(ctx context.Context, in incident.Incident) error {
	if in.State.Final() {
		return nil
	}
	for _, a := range in.Actions {
		if a.SentAt.IsZero() || a.Result != "" && a.Result != incident.HandedOver && !in.Degraded {
			continue
		}
		change, err := c.o.Store.Superseded(ctx, a.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (change == nil || !change.Person) {
			continue
		}
		if err != nil {
			return err
		}
		c.queue = append(c.queue, pending{in.ID, personChanged(*change)})
	}
	return nil
}

// sweep looks for answers of governance: rows count, the events on the bus only announce them.
func (c *core) sweep(ctx context.Context) error {
	for _, id := range c.ids() {
		more, err := c.answers(ctx, c.incidents[id].in)
		if err != nil {
			return err
		}
		c.queue = append(c.queue, more...)
	}
	return c.drain(ctx)
}

// answered hears that governance decided something of an incident.
func (c *core) answered(ctx context.Context, id string) error {
	if err := c.mu.take(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	e := c.incidents[id]
	if e == nil {
		return nil
	}
	more, err := c.answers(ctx, e.in)
	if err != nil {
		return err
	}
	c.queue = append(c.queue, more...)
	return c.drain(ctx)
}

// waitsFor is the request whose decision an incident waits for, with the action; "" for none.
func waitsFor(in incident.Incident) (request string, a incident.Action, undo bool) {
	for _, a := range in.Actions {
		if a.ID != in.CurrentID {
			continue
		}
		switch in.State {
		case incident.Proposed, incident.AwaitingApproval:
			return a.RequestID, a, false
		case incident.Undoing:
			if a.Undo != nil && (a.Undo.AGL == incident.AGLPending || a.Undo.AGL == incident.AGLEscalated) {
				return a.Undo.RequestID, a, true
			}
		}
	}
	return "", incident.Action{}, false
}

// answers are the decisions that an incident waits for, as the rows have them.
func (c *core) answers(ctx context.Context, in incident.Incident) ([]pending, error) {
	request, a, undo := waitsFor(in)
	if request == "" {
		return nil, nil
	}
	rows, err := c.o.Store.PolicyDecisions(ctx, store.DecisionFilter{RequestIDs: []string{request}}, 0, 1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	d := rows[0] // the latest: a final one, or that it waits for a person
	waits := in.State == incident.AwaitingApproval || undo && a.Undo.AGL == incident.AGLEscalated
	if d.Verdict == store.AGLEscalated && waits {
		return nil, nil // known
	}
	ev := incident.Event{Type: incident.EvDecision, At: d.DecidedAt, ActionID: a.ID, Decision: &incident.Decision{
		RequestID: request, AGL: d.Verdict, Rule: d.Rule, Reason: d.Reason, Approver: d.By, ExpiresAt: d.ExpiresAt, Envelope: d.Envelope,
	}}
	if d.Verdict == store.AGLDenied {
		ev.Decision.RetryAt = retryAt(d.Inputs)
	}
	if len(d.Envelope) > 0 && !json.Valid(d.Envelope) {
		ev.Decision.Envelope = encode(string(d.Envelope)) // kept for the record; the executor refuses it
	}
	if !undo {
		ev.Decision.Digest, ev.Decision.Params, ev.Decision.Inverse = a.Digest, a.Params, a.Inverse
		if d.Verdict == store.AGLModified {
			modified(ev.Decision, d.Inputs)
		}
	}
	return []pending{{in.ID, ev}}, nil
}

// retryAt is until when a denial holds; zero for good, as a person's.
func retryAt(inputs json.RawMessage) time.Time {
	var said struct {
		RetryAt time.Time `json:"retry_at"`
	}
	if json.Unmarshal(inputs, &said) != nil {
		return time.Time{}
	}
	return said.RetryAt
}

// modified takes over the parameters of a MODIFIED decision. Where they can't be read the proposed ones stay, for which
// the executor then finds no signature.
func modified(d *incident.Decision, inputs json.RawMessage) {
	var said struct {
		Modified *policy.Action `json:"modified"`
	}
	if json.Unmarshal(inputs, &said) == nil && said.Modified != nil {
		d.Params, d.Digest = said.Modified.Params, said.Modified.Digest()
	}
}
