package healing

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// outage is a store that is down. An incident's row is written before anybody is called for it; here it is just that which
// can't be done, so a person is called without one, once, and the incident that is opened when it is over calls nobody again.
type outage struct {
	mu      sync.Mutex
	called  bool
	healthy time.Time // the store has answered without a break since
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
	code := a.o.Store.Stats().FailingCode
	var u *store.Unavailable
	if errors.As(err, &u) {
		code = cmp.Or(code, u.Code)
	}
	a.outage.mu.Lock()
	defer a.outage.mu.Unlock()
	switch {
	case s.State == detect.Healthy && a.outage.healthy.IsZero():
		a.outage.healthy = now
		return
	case s.State == detect.Healthy:
		// What comes and goes is one outage, as it is one incident.
		a.outage.called = a.outage.called && now.Sub(a.outage.healthy) < a.o.Settings.CalledDwell
		return
	}
	a.outage.healthy = time.Time{}
	if a.outage.called || s.State != detect.Confirmed || s.Target != detect.TargetStore || code == "" {
		return
	}
	a.outage.called = true
	n := Notice{
		ID: s.Fingerprint() + "/" + now.UTC().Format("20060102-150405"), Kind: string(s.Kind), Target: s.Target, Why: incident.EscNotifyOnly, At: now,
		Text: string(s.Kind) + " " + s.Target + ": " + s.Words() + "; nothing is healed meanwhile, and its incident is written down once that is possible",
	}
	a.say(n)
}

// calledFor reports whether a person has been called already for the outage that an incident is about.
func (a *Agent) calledFor(in incident.Incident) bool {
	a.outage.mu.Lock()
	defer a.outage.mu.Unlock()
	return a.outage.called && in.Kind == incident.BusDown && in.Target == detect.TargetStore
}

// say calls a person by log and webhook.
func (a *Agent) say(n Notice) {
	a.o.Log.Error("a person is called", "incident", n.IncidentID, "type", n.Kind, "target", n.Target, "why", n.Why, "text", n.Text)
	if a.o.Caller != nil {
		a.o.Caller.Call(n)
	}
}
