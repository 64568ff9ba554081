package agents

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// slowFor is how long an agent is called SLOW after an event that was.
const slowFor = 2 * time.Second

// beat publishes each agent's metrics once a slot, all in one call.
func (s *Supervisor) beat() {
	ticker := time.NewTicker(s.opts.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-s.quit:
			return
		case now := <-ticker.C:
			s.beatOnce(s.root, now)
		}
	}
}

// beatOnce closes the slot of each agent and announces it. A bus that doesn't take the beat within a slot loses it: a
// late one would say nothing true.
func (s *Supervisor) beatOnce(ctx context.Context, now time.Time) {
	var out []*bus.Message
	for _, a := range s.list() {
		for _, e := range a.pulse(now) {
			out = append(out, bus.NewMessage(e, now))
		}
	}
	if len(out) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
	defer cancel()
	if err := s.opts.Transport.Publish(ctx, out...); err != nil && ctx.Err() == nil {
		s.unheard.Say(s.opts.Logger, slog.LevelWarn, "heartbeats were not published", "err", err)
	}
}

// lastBeat announces that the agents have stopped.
func (s *Supervisor) lastBeat(ctx context.Context) { s.beatOnce(ctx, time.Now()) }

// pulse closes the agent's slot. A life that hangs or has crashed beats no more, but for the notice of it.
func (a *agent) pulse(now time.Time) (out []*event.AgentMetrics) {
	slow := a.isSlow(a.sup.clock())
	depth, age, inFlight := a.load(now)
	slot := a.stats.turn()
	oldest, deadline := a.oldestHandler()

	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.state == Running && slow:
		a.becomeLocked(Slow, "", 0)
	case a.state == Slow && !slow:
		a.becomeLocked(Running, "", 0)
	}
	m := event.AgentMetrics{
		Agent: a.spec.Name, Instance: a.sup.opts.Instance, At: now, SlotMS: a.sup.opts.Heartbeat.Milliseconds(),
		Watermark: a.finished.Load(), Queue: depth, QueueAgeMS: age.Milliseconds(), InFlight: inFlight,
		HandlerAgeMS: oldest.Milliseconds(), DeadlineMS: deadline.Milliseconds(),
	}
	for _, n := range a.notices {
		e := m
		e.State, e.Incarnation, e.Cause = string(n.state), n.incarnation, n.cause
		out = append(out, &e)
	}
	a.notices = a.notices[:0]
	if a.state == Running || a.state == Slow {
		e := m
		e.State, e.Incarnation = string(a.state), a.life.number
		out = append(out, &e)
		a.lastBeat = now
	}
	if len(out) > 0 {
		// The slot's counts go with one beat only, so that who adds them up counts each event once.
		last := out[len(out)-1]
		last.Handled, last.Failed, last.Refused = slot.handled, slot.failed, slot.refused
		last.HandlerUS = append([]int64(nil), slot.times[:slot.used]...)
		if a.spec.Counts != nil {
			last.Counts = a.spec.Counts()
		}
	}
	return out
}

// isSlow reports whether an event is taking longer than the stage deadline, or did so lately.
func (a *agent) isSlow(now int64) bool {
	for _, l := range a.lanes {
		at := l.slowAt.Load()
		if at > 0 && now-at < int64(slowFor) || l.working(now) > a.sup.opts.StageDeadline {
			return true
		}
	}
	return false
}

// oldestHandler is the age of the handler that is at work for longest, and the deadline that it should keep: its lane's, which
// is doubled where events have taken longer. Without one at work it is the longest of all lanes.
func (a *agent) oldestHandler() (age, deadline time.Duration) {
	now := a.sup.clock()
	longest := a.sup.opts.StageDeadline
	for _, l := range a.lanes {
		its := time.Duration(l.deadline.Load())
		longest = max(longest, its)
		if at := l.working(now); at > age {
			age, deadline = at, its
		}
	}
	if age == 0 {
		deadline = longest
	}
	return age, deadline
}

// load describes what waits and what is at work.
func (a *agent) load(now time.Time) (depth int, age time.Duration, inFlight int) {
	var oldest time.Time
	for _, l := range a.lanes {
		n, at := l.depth()
		depth += n
		if !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
		if l.working(a.sup.clock()) > 0 {
			inFlight++
		}
	}
	for _, b := range a.boxes {
		depth += b.mailbox.Depth()
	}
	if !oldest.IsZero() {
		age = max(0, now.Sub(oldest))
	}
	return depth, age, inFlight
}

// status is a snapshot of the agent.
func (a *agent) status(now time.Time) Status {
	total, rate, p50, p99 := a.stats.read()
	depth, age, inFlight := a.load(now)
	notReady := ""
	if a.spec.Ready != nil {
		if err := a.spec.Ready(); err != nil {
			notReady = err.Error()
		}
	}
	undead := a.undead()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{
		Agent: a.spec.Name, Instance: a.sup.opts.Instance,
		State: a.state, Since: a.since, Cause: a.cause,
		Handled: total.handled, Failed: total.failed, Refused: total.refused, Restarts: a.restarts,
		Zombies: int(a.zombies.Load()), Queue: depth, QueueAge: age, InFlight: inFlight,
		Rate: rate, P50: p50, P99: p99, LastBeat: a.lastBeat, NotReady: notReady,
	}
	if a.life != nil {
		s.Incarnation = a.life.number
	}
	most := a.sup.opts.MaxZombies
	s.Stuck = s.State == Quarantined && undead >= most
	if s.State == Quarantined && !s.Stuck {
		s.Cause = fmt.Sprintf("%d abandoned lives still ran, of which %d do now: it can be restarted", most, undead)
	}
	return s
}
