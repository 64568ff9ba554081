package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aura/agents"
	"aura/agents/event"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
	"aura/store/complaint"
)

const (
	leaseTTL = 5 * time.Second
	// minSlot keeps two batches that come close together in one slot.
	minSlot = 50 * time.Millisecond
	// maxBeats bounds the beats of one slot.
	maxBeats = 1000
	// reportEvery is how often everything is said again, and the state checkpointed.
	reportEvery = time.Second
	// recentChanges is how many changes of desired state are looked at as possible causes.
	recentChanges = 20
)

// core is the state of one life. Its lanes share it under the lock; a zombie's core is its own and holds a stale epoch.
type core struct {
	*Monitoring
	life agents.Life

	mu       sync.Mutex
	started  bool
	lease    store.Lease
	monitor  *detect.Monitor
	slot     detect.Slot
	waited   time.Duration // the longest that an own beat in it had been in the mailbox when it was heard
	ownBeat  time.Time
	lastStep time.Time
	lastSay  time.Time // of the last report
	said     string    // states of the last report, to see a change
	scene    detect.Scene
	storeAt  time.Time // when the store last answered
	// unanswered: the store failed to answer when last asked, and is asked again at the next step.
	unanswered bool
	silent     complaint.Log
	watches    map[string]*watch
	shadow     *shadowView
	version    int // the validated figures are of
	accuracy   float64
	rows       int
}

func newCore(m *Monitoring, l agents.Life) *core {
	return &core{Monitoring: m, life: l, watches: map[string]*watch{}, shadow: &shadowView{}}
}

// hear adds one agent's slot. arrived is when it came into this process, if that is known: on a broker a beat may have waited
// for as long as the broker was away.
func (c *core) hear(e *event.AgentMetrics, arrived time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	if e.Agent == Name && e.Incarnation == c.life.Incarnation {
		c.ownBeat = now
		if arrived.IsZero() {
			arrived = e.At
		}
		c.waited = max(c.waited, now.Sub(arrived))
	}
	b := detect.Beat{
		Agent: e.Agent, Instance: e.Instance, Incarnation: e.Incarnation, State: e.State, At: e.At,
		Watermark: e.Watermark, Queue: e.Queue, QueueAge: ms(e.QueueAgeMS), HandlerAge: ms(e.HandlerAgeMS), Deadline: ms(e.DeadlineMS),
		Cause: e.Cause,
	}
	if len(c.slot.Beats) < maxBeats { // in order: a crash and the life after it may fall into one slot
		c.slot.Beats = append(c.slot.Beats, b)
	}
	if n := e.Handled + e.Failed; n > 0 {
		c.slot.Attempt(e.Agent, n, e.Failed)
	}
	if e.Counts != nil {
		if err := c.slot.Merge(e.Counts); err != nil {
			c.Log.Debug("counts of another time were left out", "agent", e.Agent, "err", err)
		}
	}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// step judges the slot and reports what has to be said.
func (c *core) step(ctx context.Context, out *agents.Outbox) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	if len(c.slot.Beats) == 0 || now.Sub(c.lastStep) < minSlot {
		return nil
	}
	if err := c.lead(ctx); err != nil || !c.lease.Held {
		c.newSlot()
		return err
	}
	say := now.Sub(c.lastSay) >= reportEvery
	if say || c.unanswered {
		c.learn(ctx, now)
	}
	s := c.view(ctx, now)
	c.follow()
	c.monitor.Step(now, s)
	c.Monitoring.saw(s)
	c.shadow.step(now, s, c.Config.Latency.SLO)
	for _, w := range c.watches {
		w.step(now, s)
	}
	c.lastStep = now
	c.newSlot()
	return c.say(ctx, now, say, out)
}

func (c *core) newSlot() {
	c.slot, c.waited = detect.Slot{}, 0
}

// lead sees to it that this life holds the lease and has its state; another holder is no error, it judges.
func (c *core) lead(ctx context.Context) error {
	if c.started {
		return nil
	}
	l, err := c.Store.AcquireLease(ctx, store.LeaseMonitoring, c.life.Instance, c.life.Incarnation, leaseTTL)
	var refused *store.Refused
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", agents.ErrNotReady, err)
	}
	m, err := detect.NewMonitor(c.Config)
	if err != nil {
		return err
	}
	state, at, err := c.Store.LoadCheckpoint(ctx, Name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && len(state) == 0:
		err = m.SetReference(c.Reference())
	case err == nil:
		if err = m.Restore(state, c.Reference()); err != nil {
			c.Log.Warn("the checkpoint can't be used; monitoring begins anew", "of", at, "err", err)
			if m, err = detect.NewMonitor(c.Config); err == nil {
				err = m.SetReference(c.Reference())
			}
		}
	}
	if err != nil {
		return err
	}
	c.lease, c.monitor, c.started = l, m, true
	c.Log.Info("monitoring", "epoch", l.Epoch, "threshold", m.Threshold())
	return nil
}

// learn asks the store what changed lately and what is open, and keeps lease and checkpoint. A store that doesn't answer
// makes everything UNKNOWN after a while: the detectors see how old its last answer is.
func (c *core) learn(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, reportEvery/2)
	defer cancel()
	scene, err := c.look(ctx, now)
	if err == nil {
		var state []byte
		if state, err = c.monitor.MarshalJSON(); err == nil {
			err = c.Store.SaveCheckpoint(ctx, Name, c.lease.Epoch, state)
		}
	}
	if err == nil {
		var renewed store.Lease
		if renewed, err = c.Store.RenewLease(ctx, c.lease, leaseTTL); err == nil {
			c.lease = renewed // one that could not be renewed in time is still ours, until another life takes it
		}
	}
	c.unanswered = err != nil
	var refused *store.Refused
	switch {
	case errors.As(err, &refused):
		c.Log.Warn("another life monitors", "err", err)
		c.lease.Held = false
	case err != nil:
		c.silent.Say(c.Log, slog.LevelWarn, "the store doesn't answer monitoring", "err", err)
	default:
		c.scene, c.storeAt = scene, c.Now()
	}
}

func (c *core) look(ctx context.Context, now time.Time) (detect.Scene, error) {
	scene := detect.Scene{Now: now, Path: detect.DefaultPath, Open: map[string]bool{}, Left: map[string]bool{}}
	changes, err := c.Store.ConfigHistory(ctx, recentChanges, 0)
	if err != nil {
		return scene, err
	}
	for _, h := range changes {
		scene.Changes = append(scene.Changes, changeOf(h))
	}
	open, err := c.Store.OpenIncidents(ctx)
	if err != nil {
		return scene, err
	}
	for _, row := range open {
		scene.Open[row.Fingerprint] = true
		switch incident.State(row.State) {
		case incident.Escalated, incident.AwaitingApproval, incident.Observed:
			scene.Left[row.Fingerprint] = true
		}
	}
	return scene, nil
}

// desired is what judgement needs of the desired state. Another champion's accuracy is asked for at once: judged by that of
// the one before, a bad model that claims much would make its successor look bad, or the other way round.
func (c *core) desired(ctx context.Context) detect.Desired {
	d := c.View.Current()
	if d.Champion != c.version {
		c.accuracy, c.rows = c.Validated(ctx, d.Champion)
		c.version = d.Champion
	}
	return detect.Desired{Mode: string(d.Mode), Champion: d.Champion, Validated: c.accuracy, ValidatedN: c.rows}
}

// view completes the slot with what this process knows.
func (c *core) view(ctx context.Context, now time.Time) detect.Slot {
	s := c.slot
	s.At, s.OwnBeat, s.StoreBeat, s.StoreCode = now, c.ownBeat, c.storeAt, c.Store.Stats().FailingCode
	// Beats that waited in the mailbox show that the bus was there, and this agent late.
	s.Awake = c.awake(now) && c.waited <= c.Config.Pause
	s.Desired = c.desired(ctx)
	c.scene.Now, c.scene.Mode = now, s.Desired.Mode
	return s
}

// follow takes over the reference in force.
func (c *core) follow() {
	if r := c.Reference(); r != nil && r != c.monitor.Reference() {
		if err := c.monitor.SetReference(r); err != nil {
			c.Log.Error("the reference can't be compared with", "id", r.ID, "err", err)
		}
	}
}

// say emits the report if it is time or something changed.
func (c *core) say(ctx context.Context, now time.Time, due bool, out *agents.Outbox) error {
	signals := c.monitor.Signals(now)
	states := statesOf(signals)
	verdicts, changed := c.verdicts(ctx, now, signals)
	if !due && states == c.said && !changed {
		return nil
	}
	d := c.View.Current()
	r := detect.Report{
		At: now, Epoch: c.lease.Epoch, Mode: string(d.Mode), Champion: d.Champion, Signals: signals,
		Causes: detect.Rank(signals, c.scene), Shadow: c.shadow.report(now), Verdicts: verdicts, Threshold: c.monitor.Threshold(),
	}
	var histograms map[string]detect.Histogram // for who looks: once a second is enough
	if due {
		c.lastSay, histograms = now, c.monitor.Histograms()
	}
	c.said = states
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("monitoring: encode the report: %w", err)
	}
	out.Emit(&event.Alert{Kind: KindHeartbeat, Target: Name, Fingerprint: KindHeartbeat, State: string(detect.Healthy), At: now, Epoch: r.Epoch, Signal: raw})
	for _, cause := range r.Causes {
		detail, err := json.Marshal(cause)
		if err != nil {
			return fmt.Errorf("monitoring: encode an alert: %w", err)
		}
		s := cause.Signal
		out.Emit(&event.Alert{
			Kind: string(s.Kind), Target: s.Target, Fingerprint: s.Fingerprint(), State: string(s.State),
			At: now, Epoch: r.Epoch, Signal: detail,
		})
	}
	c.publish(r, histograms)
	return nil
}

func statesOf(signals []detect.Signal) string {
	var b []byte
	for _, s := range signals {
		b = append(b, s.State...)
		b = append(b, ' ')
		if s.Kind == detect.BusDown {
			b = append(b, s.Target...)
		}
	}
	return string(b)
}

// changeOf tells a line of the history as a possible cause.
func changeOf(h store.ConfigChange) detect.Change {
	kind := "config"
	switch h.Setting.Setting {
	case store.SettingMode:
		kind = "mode"
	case store.SettingChampion:
		kind = "model"
	case store.SettingReference:
		kind = "reference"
	}
	return detect.Change{Kind: kind, Target: h.Setting.Setting, At: h.ChangedAt, By: h.Owner, Note: h.Value}
}
