package healing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// report feeds what monitoring says to the incidents that it concerns, and opens those that are missing.
func (c *core) report(ctx context.Context, r detect.Report) error {
	if err := c.mu.take(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if !c.believes(r) { // the lock may have taken long
		return nil
	}
	now := c.o.Now()
	if !blind(r) {
		c.heard.Store(now.UnixMicro())
	}
	if err := c.pass(ctx); err != nil {
		return err
	}
	if current, err := c.current(ctx, r); err != nil || !current {
		return err
	}
	consequences := map[string]string{}
	for _, cause := range r.Causes {
		if cause.Of != "" {
			consequences[cause.Signal.Fingerprint()] = cause.Of
		}
	}
	for _, s := range r.Signals {
		if err := c.feed(ctx, r, s, consequences[s.Fingerprint()]); err != nil {
			return err
		}
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	if err := c.open(ctx, r, now); err != nil {
		return err
	}
	for _, id := range c.ids() {
		if c.incidents[id].in.Degraded {
			c.queue = append(c.queue, pending{id, incident.Event{Type: incident.EvShadow, At: r.At, Shadow: shadowOf(r)}})
		}
	}
	for _, v := range r.Verdicts {
		verdict := verdictOf(v)
		if e := c.incidents[v.IncidentID]; e != nil && explained(e.in, v.ActionID, v.Worse) {
			verdict.Worse = ""
		}
		c.queue = append(c.queue, pending{v.IncidentID, incident.Event{
			Type: incident.EvVerdict, At: v.At, ActionID: v.ActionID, Verdict: verdict,
		}})
	}
	return c.drain(ctx)
}

// current reports whether a report is of who monitors now, as the store knows: of two that believe to, one is told here.
func (c *core) current(ctx context.Context, r detect.Report) (bool, error) {
	l, err := c.o.Store.LeaseOf(ctx, store.LeaseMonitoring)
	if err != nil {
		return false, err
	}
	c.monitor.Store(l.Epoch)
	if r.Epoch != l.Epoch {
		c.o.Log.Warn("a report of monitoring is ignored: its epoch is over", "epoch", r.Epoch, "now", l.Epoch)
	}
	return r.Epoch == l.Epoch, nil
}

// blind reports whether monitoring says itself that it can't hear: then nothing is healed.
func blind(r detect.Report) bool {
	return slices.ContainsFunc(r.Signals, func(s detect.Signal) bool { return s.Kind == detect.BusDown && s.State == detect.Confirmed })
}

// feed queues a signal for the incident that it belongs to: the open one, or the ended one that it opens again.
func (c *core) feed(ctx context.Context, r detect.Report, s detect.Signal, of string) error {
	own, found := incident.Find(c.all(), began(signalOf(r, s, of), s), c.o.Now())
	for _, id := range c.ids() {
		in := c.incidents[id].in
		if in.Fingerprint != s.Fingerprint() && !hearsAgain(in, s) || in.State.Final() && (!found || own.ID != id) {
			continue
		}
		sig := signalOf(r, s, of)
		sig.Fingerprint, sig.Target = in.Fingerprint, in.Target
		ev := incident.Event{Type: incident.EvSignal, At: r.At, Signal: &sig}
		if in.State.Final() {
			sig = began(sig, s)
			if !incident.Reopens(in, sig, c.o.Now()) {
				continue
			}
			known, err := c.recognise(ctx, &sig)
			if err != nil {
				return err
			}
			if !known || !incident.Reopens(in, sig, c.o.Now()) {
				continue
			}
			if ev.Ladder, ev.OrderReason, err = c.ladder(ctx, sig); err != nil {
				return err
			}
		}
		c.queue = append(c.queue, pending{id, ev})
	}
	return nil
}

// hearsAgain: what couldn't be heard (the bus, the store, monitoring itself) is one signal, which names the bus when all is
// well.
func hearsAgain(in incident.Incident, s detect.Signal) bool {
	return s.Kind == detect.BusDown && s.State == detect.Healthy && in.Kind == incident.BusDown && !in.State.Final()
}

// began sees to it that what begins now has an onset: where the detector estimates none, it is when the state began. An
// incident under way keeps the onset that it has.
func began(sig incident.Signal, s detect.Signal) incident.Signal {
	if sig.OnsetAt.IsZero() {
		sig.OnsetAt = s.Since
	}
	return sig
}

// recognise tells whether a drift is the return to a reference that was in force before: that is no relapse but an
// incident of its own. known is false while there are too few rows to tell.
func (c *core) recognise(ctx context.Context, s *incident.Signal) (known bool, err error) {
	if s.Kind != incident.DataDrift || s.State != incident.Confirmed || c.o.Targets.References == nil {
		return true, nil
	}
	id, _, err := c.o.Targets.References.Earlier(ctx, s.OnsetAt)
	var later *Later
	if errors.As(err, &later) {
		return false, nil
	}
	s.Facts[incident.FactEarlierReference] = id != ""
	return true, err
}

// open opens an incident for each cause that has none. A cause of an open incident's signal takes that one over.
func (c *core) open(ctx context.Context, r detect.Report, now time.Time) error {
	for _, cause := range r.Causes {
		s := cause.Signal
		sig := began(signalOf(r, s, cause.Of), s)
		if cause.Of != "" || !c.heals(s) {
			continue
		}
		if found, err := c.known(ctx, &sig, now); err != nil || found || c.settling(s, now) {
			if err != nil {
				return err
			}
			continue
		}
		sig.Evidence = encode(map[string]any{"signal": s.Evidence, "reason": cause.Reason, "changes": cause.Changes})
		ladder, why, err := c.ladder(ctx, sig)
		if err != nil {
			return err
		}
		if taken := c.consequence(r, s.Fingerprint()); taken != "" && s.State == detect.Confirmed && !c.begins(s, sig, taken) {
			c.queue = append(c.queue, pending{taken, incident.Event{
				Type: incident.EvTakeOver, At: r.At, TakeOver: &incident.TakeOver{Signal: sig, Ladder: ladder, OrderReason: why},
			}})
			if err := c.drain(ctx); err != nil {
				return err
			}
			continue
		} else if taken != "" && s.State != detect.Confirmed {
			continue // only suspected yet: the consequence's incident stands for both
		}
		if err := c.start(ctx, sig, ladder, why, now); err != nil {
			return err
		}
	}
	return nil
}

// known reports whether a signal has an incident, or can't be told from a relapse yet. A suspicion that would be a relapse
// if it were confirmed opens nothing: it would stand in the way of what the confirmation opens again.
func (c *core) known(ctx context.Context, s *incident.Signal, now time.Time) (bool, error) {
	if s.State == incident.Suspect {
		confirmed := *s
		confirmed.State = incident.Confirmed
		_, found := incident.Find(c.all(), confirmed, now)
		return found, nil
	}
	in, found := incident.Find(c.all(), *s, now)
	if !found || !in.State.Final() {
		return found, nil
	}
	told, err := c.recognise(ctx, s)
	if err != nil || !told {
		return true, err
	}
	_, found = incident.Find(c.all(), *s, now)
	return found, nil
}

// settle is how long after a change of ours decisions may still be late with what had waited before it.
const settle = 4 * time.Second

// settling reports whether a breach may be what is left of a fault that an open incident has just acted on. One that
// outlasts it is a cause of its own.
func (c *core) settling(s detect.Signal, now time.Time) bool {
	if s.Kind != detect.LatencyBreach {
		return false
	}
	for _, e := range c.incidents {
		if !e.in.State.Final() && !e.in.ChangedAt.IsZero() && now.Sub(e.in.ChangedAt) < settle {
			return true
		}
	}
	return false
}

// heals reports whether a signal opens incidents here.
func (c *core) heals(s detect.Signal) bool {
	if !s.State.Active() {
		return false
	}
	if _, process := detect.ProcessOf(s.Target); process {
		return true
	}
	return s.Kind != detect.AgentDown || slices.Contains(c.o.Heals, s.Target)
}

// consequence finds the open incident of a signal that the cause explains, "" for none.
func (c *core) consequence(r detect.Report, cause string) string {
	for _, other := range r.Causes {
		if other.Of != cause {
			continue
		}
		for _, id := range c.ids() {
			in := c.incidents[id].in
			if in.Fingerprint == other.Signal.Fingerprint() && !in.State.Final() && in.ResolvedAt.IsZero() {
				return id
			}
		}
	}
	return ""
}

// How much later than its consequence a cause may seem to have begun: onsets are estimates, those of drifts coarse ones.
const (
	lateOnset = time.Second
	lateDrift = 10 * time.Second
)

// begins reports whether a cause began only after an open incident: then it is no cause of that one but a fault of its own,
// however well it would explain it now.
func (c *core) begins(s detect.Signal, sig incident.Signal, id string) bool {
	late := lateOnset
	if s.Kind == detect.DataDrift {
		late = lateDrift
	}
	in := c.incidents[id].in
	began := in.OnsetAt
	if at := in.Signal.OnsetAt; at.After(began) { // of a relapse
		began = at
	}
	if began.IsZero() {
		began = in.Detected()
	}
	return sig.OnsetAt.After(began.Add(late))
}

// start opens an incident.
func (c *core) start(ctx context.Context, s incident.Signal, ladder []incident.Rung, why string, now time.Time) error {
	in, fx, err := incident.Open(incident.Start{
		ID: newID(now), Signal: s, Ladder: ladder, OrderReason: why, Links: c.links(s, now), Settings: c.o.Settings,
		Relapses: c.relapses(s, now), Paused: c.paused, DryRun: c.o.DryRun,
	}, now)
	if err != nil {
		return fmt.Errorf("healing: open an incident for %s: %w", s.Fingerprint, err)
	}
	e := &entry{saved: map[string]string{}}
	c.incidents[in.ID] = e
	if err := c.commit(ctx, e, in, fx, true, said{}); err != nil {
		delete(c.incidents, in.ID)
		var refused *store.Refused
		if errors.As(err, &refused) && refused.Code == store.CodeIncidentOpen {
			c.lost.Store(true) // somebody's incident that isn't in memory: load anew
		}
		return err
	}
	c.o.Log.Warn("incident opened", "incident", in.ID, "type", in.Kind, "target", in.Target, "state", in.State)
	return c.drain(ctx)
}

// links names lately ended incidents of the same signal.
func (c *core) links(s incident.Signal, now time.Time) (out []string) {
	for _, id := range c.ids() {
		in := c.incidents[id].in
		if in.Fingerprint == s.Fingerprint && in.State.Final() && now.Sub(in.ClosedAt) <= c.relapseWindow() {
			out = append(out, id)
		}
	}
	return out
}

// relapses are those of the incident of the same signal that a person's change ended lately, and this one: it came back.
func (c *core) relapses(s incident.Signal, now time.Time) (out []time.Time) {
	for _, id := range c.links(s, now) { // the oldest first
		if in := c.incidents[id].in; in.State == incident.Superseded {
			out = append(slices.Clone(in.Relapses), now)
		}
	}
	return out
}

// newID is readable and ordered by time: INC-20260102-150405-1a2b3c.
func newID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "INC-" + now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}
