package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	// minSlot keeps two batches that come close together in one slot.
	minSlot = 50 * time.Millisecond
	// maxBeats bounds the beats of one slot.
	maxBeats = 1000
	// reportEvery is how often everything is said again, and the state checkpointed.
	reportEvery = time.Second
	// recentChanges is how many changes of desired state are looked at as possible causes.
	recentChanges = 20
)

// core is the state of one life. Its lanes share it under the lock; a zombie's core is its own and holds a stale epoch. One
// that doesn't hold the lease judges all the same, and says nothing.
type core struct {
	*Monitoring
	life agents.Life

	mu       sync.Mutex
	lease    store.Lease
	asked    time.Time       // when the lease was last asked for
	standsBy time.Time       // since when; zero for the holder
	deaf     bool            // it was said that nothing of the holder is heard
	monitor  *detect.Monitor // nil before the first step
	slot     detect.Slot
	quiet    time.Duration // the longest time in it in which no beat arrived
	arrived  time.Time     // when the last beat did
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
	if e.Agent == Name && e.Instance == c.life.Instance && e.Incarnation == c.life.Incarnation {
		c.ownBeat = now
	}
	if arrived.IsZero() {
		arrived = e.At
	}
	if !c.arrived.IsZero() {
		c.quiet = max(c.quiet, arrived.Sub(c.arrived))
	}
	if arrived.After(c.arrived) { // lanes are not in step
		c.arrived = arrived
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
		c.slot.Attempt(e.Agent, e.Instance, n, e.Failed)
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
	if err := c.lead(ctx, now); err != nil {
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
	c.slot, c.quiet = detect.Slot{}, 0
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
	s.Awake = c.awake(now) && c.nothingCame(now) > c.Config.Pause
	s.Desired = c.desired(ctx)
	c.scene.Now, c.scene.Mode = now, s.Desired.Mode
	return s
}

// nothingCame is the longest time since the step before in which no beat came. Beats that came meanwhile and waited in the mailbox
// show that the bus was there, and this agent late.
func (c *core) nothingCame(now time.Time) time.Duration { return max(c.quiet, now.Sub(c.arrived)) }

// follow takes over the reference in force.
func (c *core) follow() {
	if r := c.Reference(); r != nil && r != c.monitor.Reference() {
		if err := c.monitor.SetReference(r); err != nil {
			c.Log.Error("the reference can't be compared with", "id", r.ID, "err", err)
		}
	}
}

// say emits the report if it is time or something changed, and this life holds the lease. A standby goes through the same
// motions, so that it can speak at any moment.
func (c *core) say(ctx context.Context, now time.Time, due bool, out *agents.Outbox) error {
	signals := c.forgotten(c.monitor.Signals(now))
	states := statesOf(signals)
	verdicts, changed := c.verdicts(ctx, now, signals)
	if due {
		c.lastSay = now
		c.draw(c.monitor.Histograms()) // for who looks: once a second is enough
	}
	if !c.lease.Held || !due && states == c.said && !changed {
		return nil
	}
	d := c.View.Current()
	r := detect.Report{
		At: now, Epoch: c.lease.Epoch, Mode: string(d.Mode), Champion: d.Champion, Signals: signals,
		Causes: detect.Rank(signals, c.scene), Shadow: c.shadow.report(now), Verdicts: verdicts, Threshold: c.monitor.Threshold(),
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
	c.publish(r)
	return nil
}

// forgotten adds the processes that incidents are open for and of which nothing is known any more: what never came back has been
// replaced, and its incident ends.
func (c *core) forgotten(signals []detect.Signal) []detect.Signal {
	for _, name := range slices.Sorted(maps.Keys(c.scene.Open)) {
		target, down := strings.CutPrefix(name, string(detect.AgentDown)+":")
		if _, process := detect.ProcessOf(target); !down || !process || blindly(signals) {
			continue
		}
		if !slices.ContainsFunc(signals, func(s detect.Signal) bool { return s.Fingerprint() == name }) {
			signals = append(signals, detect.Signal{
				Kind: detect.AgentDown, Target: target, State: detect.Healthy, Evidence: map[string]any{"reason": "it is known no more"},
			})
		}
	}
	return signals
}

// blindly reports whether signals are none because nothing can be heard.
func blindly(signals []detect.Signal) bool {
	return !slices.ContainsFunc(signals, func(s detect.Signal) bool { return s.Kind == detect.BusDown && s.State == detect.Healthy })
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
