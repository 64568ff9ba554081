package healing

import (
	"context"
	"errors"
	"strconv"

	"aura/agents/event"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// Steps of an incident on incident-log that are no state.
const (
	StepVerify = "VERIFY" // Detail is a detect.Watch
	StepNotify = "NOTIFY" // Detail is a Notice
)

// perform does what a step asks for, after it was saved. Whatever fails here is asked for again by the machine.
func (c *core) perform(ctx context.Context, in incident.Incident, fx []incident.Effect) {
	for _, f := range fx {
		switch f.Type {
		case incident.FxPolicy:
			c.announce(ctx, in, f)
		case incident.FxWithdraw:
			if run := c.running[f.Action.ID]; run != nil {
				run.cancel()
			}
		case incident.FxExecute:
			c.execute(in, f)
		case incident.FxUndo:
			c.undo(in, f)
		case incident.FxVerify:
			c.publish(ctx, in, c.entryOf(in, StepVerify, f.Verification, c.watch(ctx, in, f)))
		case incident.FxNotify:
			c.call(ctx, in, f)
		case incident.FxLog:
			e := c.entryOf(in, string(f.Entry.State), f.Entry.Text, f.Entry)
			e.At, e.State = f.Entry.At, string(f.Entry.State)
			c.publish(ctx, in, e)
		}
		c.o.hook("after " + string(f.Type))
	}
}

// announce says what is asked of governance, if it is: what was refused before is no request.
func (c *core) announce(ctx context.Context, in incident.Incident, f incident.Effect) {
	e := &event.PolicyRequest{RequestID: f.RequestID, IncidentID: in.ID, ActionID: f.Action.ID, At: c.o.Now()}
	switch r, err := c.o.Store.Request(ctx, f.RequestID); {
	case errors.Is(err, store.ErrNotFound):
		return
	case err == nil: // else governance looks the row up itself, as ever
		e.Action = r.Action
	}
	c.publish(ctx, in, e)
}

func (c *core) entryOf(in incident.Incident, step, text string, detail any) *event.IncidentEntry {
	return &event.IncidentEntry{
		IncidentID: in.ID, IncidentType: in.Kind, Target: in.Target, Status: string(in.Status), State: string(in.State), Step: step,
		Text: text, At: c.o.Now(), Detail: encode(detail),
	}
}

// watch is what monitoring is to verify.
func (c *core) watch(ctx context.Context, in incident.Incident, f incident.Effect) detect.Watch {
	w := detect.Watch{
		IncidentID: in.ID, ActionID: f.Action.ID, Kind: detect.Kind(in.Kind), Target: in.Target, Since: f.After, Verification: f.Verification,
		// In safe mode nothing the model decided says how good it is; its scores beside do. Once it has been left again, what
		// the model decides does.
		Shadow: in.Degraded && in.Kind == incident.PerfDrop && f.Action.Purpose != incident.Restore,
		Was:    was(in, *f.Action),
	}
	switch f.Action.Type {
	case incident.RestartAgent:
		if least, err := strconv.ParseInt(f.Action.Params[paramLeast], 10, 64); err == nil {
			w.Incarnation, w.Instance = least-1, f.Action.Params[paramInstance]
		}
	case incident.AcceptReference, incident.RestoreReference:
		w.Reference = f.Action.Params[paramReference]
	}
	return w
}

// was is how bad accuracy was when an action was proposed, as its record tells; if that doesn't, as the first record does.
func was(in incident.Incident, a incident.Action) detect.Sample {
	sample := func(a incident.Action) detect.Sample {
		return detect.Sample{N: int64(a.Before[detect.EvidenceOutcomes]), Bad: int64(a.Before[detect.EvidenceWrong])}
	}
	own := sample(a)
	for i := 0; own.N == 0 && i < len(in.Actions); i++ {
		own = sample(in.Actions[i])
	}
	return own
}

// maxNotified bounds what is remembered of calls.
const maxNotified = 1000

// call calls a person, once for each id: whose epoch is over calls nobody, and what an earlier holder of the lease has called for
// is not called for again.
func (c *core) call(ctx context.Context, in incident.Incident, f incident.Effect) {
	if c.notified[f.ID] {
		return
	}
	if len(c.notified) >= maxNotified {
		clear(c.notified)
	}
	c.notified[f.ID] = true
	if c.calledFor(in) {
		return
	}
	claimed, err := c.o.Store.ClaimCall(ctx, c.epoch, f.ID)
	var refused *store.Refused
	switch {
	case errors.As(err, &refused):
		_ = c.outcome(err)
		return
	case err != nil: // rather twice than never
		c.o.Log.Warn("whether a person was called could not be read; they are called", "notice", f.ID, "err", err)
	case !claimed:
		return
	}
	n := Notice{Epoch: c.epoch, ID: f.ID, IncidentID: in.ID, Kind: in.Kind, Target: in.Target, Why: f.Escalation, Text: f.Text, At: c.o.Now()}
	c.say(n)
	c.publish(ctx, in, c.entryOf(in, StepNotify, f.Text, n))
}
