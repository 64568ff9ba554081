package healing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// outage is something without which no incident can be opened. A person is called without one, once, and the incident that
// is opened when it is over calls nobody again.
type outage struct {
	mu      sync.Mutex
	called  bool
	healthy time.Time // it has been over without a break since
}

// over notes that all is well. What comes and goes within dwell is one outage, as it is one incident.
func (o *outage) over(now time.Time, dwell time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.healthy.IsZero() {
		o.healthy = now
		return
	}
	o.called = o.called && now.Sub(o.healthy) < dwell
}

// stands notes that it isn't over, and reports whether a person is to be called now, if it is certain.
func (o *outage) stands(certain bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.healthy = time.Time{}
	if o.called || !certain {
		return false
	}
	o.called = true
	return true
}

func (o *outage) wasCalled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.called
}

// Silent calls a person where monitoring has said nothing since then (zero: it speaks): what would tell the agent of it comes
// over the bus. It is asked again and again, by who sees both.
func (a *Agent) Silent(ctx context.Context, since time.Time) {
	now := a.o.Now()
	if since.IsZero() {
		a.silence.over(now, a.o.Settings.CalledDwell)
		return
	}
	if a.silence.wasCalled() || a.standsBy(ctx) || !a.silence.stands(true) {
		return
	}
	a.without(detect.TargetBus, now, fmt.Sprintf("monitoring has said nothing since %s; nothing is judged and nothing is healed meanwhile, and its incident is opened once the bus is back",
		since.UTC().Format(time.RFC3339)))
}

// standsBy reports whether another one calls people. Who was cut off from the bus doesn't know that yet; the store does.
func (a *Agent) standsBy(ctx context.Context) bool {
	c := a.present.Load()
	if c == nil || a.standby.Load() {
		return a.standby.Load()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	l, err := a.o.Store.LeaseOf(ctx, store.LeaseHealing)
	return err == nil && l.Epoch != c.epoch
}

// withoutStore calls a person where monitoring says that the store is down and it can't be written; err is what handling the
// report came to, if that is known.
func (a *Agent) withoutStore(r detect.Report, err error) {
	at := slices.IndexFunc(r.Signals, func(s detect.Signal) bool { return s.Kind == detect.BusDown })
	if at < 0 {
		return
	}
	s := r.Signals[at]
	now := a.o.Now()
	if s.State == detect.Healthy {
		a.outage.over(now, a.o.Settings.CalledDwell)
		return
	}
	code := a.o.Store.Stats().FailingCode
	var u *store.Unavailable
	if errors.As(err, &u) {
		code = cmp.Or(code, u.Code)
	}
	if !a.standby.Load() && a.outage.stands(s.State == detect.Confirmed && s.Target == detect.TargetStore && code != "") {
		a.without(s.Target, now, s.Words()+"; nothing is healed meanwhile, and its incident is written down once that is possible")
	}
}

// without calls a person without an incident.
func (a *Agent) without(target string, now time.Time, text string) {
	a.say(Notice{
		ID: incident.BusDown + ":" + target + "/" + now.UTC().Format("20060102-150405"), Kind: incident.BusDown, Target: target,
		Why: incident.EscNotifyOnly, At: now, Text: incident.BusDown + " " + target + ": " + text,
	})
}

// calledFor reports whether a person has been called already for the outage that an incident is about.
func (a *Agent) calledFor(in incident.Incident) bool {
	switch {
	case in.Kind != incident.BusDown:
		return false
	case in.Target == detect.TargetStore:
		return a.outage.wasCalled()
	}
	return a.silence.wasCalled()
}

// say calls a person by log and webhook.
func (a *Agent) say(n Notice) {
	a.o.Log.Error("a person is called", "incident", n.IncidentID, "type", n.Kind, "target", n.Target, "why", n.Why, "text", n.Text)
	if a.o.Caller != nil {
		a.o.Caller.Call(n)
	}
}
