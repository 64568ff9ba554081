package healing

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/healing/policy"
	"aura/store"
)

// world is the agent with a real store, a governor that signs, and a service that is slow while a fault is on and the model
// decides. It runs in synctest time.
type world struct {
	t     *testing.T
	dir   string
	store *store.Store
	agent *Agent
	life  int64
	key   ed25519.PrivateKey

	mu      sync.Mutex
	fault   bool // of the model: late while it decides
	hard    bool // late in either mode
	mends   bool // a restart ends hard
	silent  bool // no traffic: nothing can be verified
	since   time.Time
	dwell   time.Duration // how long what is ill is only suspected
	watches map[string]detect.Watch
	entries []*event.IncidentEntry
	asked   []*event.PolicyRequest // as announced
	calls   []Notice
	made    []string // calls that were made and not noted yet
	targets Targets
	facts   Facts
	scene   *scene       // what is wrong; nil: the model is late while fault is on
	gone    bool         // it has gone by itself
	epoch   int64        // of the monitor that reports
	jump    atomic.Int64 // what the wall clock was moved by, for all but the store

	// govern decides a request; nil: approve.
	govern func(w *world, r store.PolicyRequest)
	// crashAt is the hook call at which the process dies; hooks counts them.
	crashAt, hooks int
	died           bool
}

func run(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: t.TempDir(), watches: map[string]detect.Watch{}}
		_, w.key, _ = ed25519.GenerateKey(nil)
		var err error
		if w.store, err = store.Open(t.Context(), store.Options{Dir: w.dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.SetMode(t.Context(), store.ModeModel, "test", "start"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.targets = Targets{Modes: w, Agents: w}
		defer func() {
			w.end()
			if err := w.store.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		f(w)
	})
}

// begin starts a new process on the same store.
func (w *world) begin() {
	w.t.Helper()
	w.end()
	w.life++
	w.died = false
	public := w.key.Public().(ed25519.PublicKey)
	a, err := New(Options{
		Store: w.store, Publisher: w, Keys: map[string]ed25519.PublicKey{policy.KeyID(public): public}, Targets: w.targets, Facts: w.facts, Caller: w,
		Playbook: playbook.Default, Settings: incident.Defaults(), ApprovalTTL: 10 * time.Minute, Heals: []string{"model"},
		Now: w.clock, hook: w.hook,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.agent = a
}

func (w *world) end() {
	if w.agent == nil {
		return
	}
	w.agent.close()
	synctest.Wait()
	w.agent = nil
}

// hook kills the process at one point: the goroutine that is there goes no further.
func (w *world) hook(string) {
	w.mu.Lock()
	w.hooks++
	die := w.hooks == w.crashAt && !w.died
	if die {
		w.died = true
	}
	w.mu.Unlock()
	if die {
		w.agent.close()
		runtime.Goexit()
	}
}

func (w *world) Publish(_ context.Context, messages ...*bus.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		if r, ok := m.Event.(*event.PolicyRequest); ok {
			w.asked = append(w.asked, r)
		}
		e, ok := m.Event.(*event.IncidentEntry)
		if !ok {
			continue
		}
		w.entries = append(w.entries, e)
		if e.Step == StepVerify {
			var watch detect.Watch
			if err := json.Unmarshal(e.Detail, &watch); err != nil {
				w.t.Error(err)
			}
			w.watches[watch.ActionID] = watch
		}
	}
	return nil
}

func (w *world) Call(n Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, n)
	if n.Epoch > 0 {
		w.made = append(w.made, n.ID)
	}
}

// SetMode really does it.
func (w *world) SetMode(ctx context.Context, p store.ActionProof, m store.Mode, reason string) (store.Effect, error) {
	return w.store.SetModeByAction(ctx, p, m, reason)
}

// Restarts change nothing that anybody could see.
func (w *world) Slowest(context.Context) (agent, instance string, err error) {
	return "feature", "p1", nil
}

func (w *world) Incarnation(_ context.Context, _, instance string) (string, int64, error) {
	return cmp.Or(instance, "p1"), 1, nil
}

func (w *world) Restart(ctx context.Context, p store.ActionProof, agent, instance string, least int64, reason string) (store.Effect, error) {
	e, err := w.store.BumpAgentByAction(ctx, p, agent, instance, least, reason)
	if err == nil && w.mends {
		w.mu.Lock()
		w.hard = false
		w.mu.Unlock()
	}
	return e, err
}

func (w *world) mode() store.Mode {
	w.t.Helper()
	s, err := w.store.Desired(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Mode
}

// ill is the truth about decisions now.
func (w *world) ill() bool {
	if w.scene != nil {
		return w.fault && !w.gone && w.scene.ill(w)
	}
	return w.hard || w.fault && !w.gone && w.mode() == store.ModeModel
}

// clock is the machine's, as somebody has set it.
func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.jump.Load())).UTC() }

// report is what monitoring would say.
func (w *world) report() *event.Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock()
	s := detect.Signal{
		Kind: detect.LatencyBreach, Target: detect.TargetService, State: detect.Healthy, Value: 20, Threshold: 300, N: 100,
		Window: time.Second, Since: w.since, Evidence: map[string]any{"slow": 0.0},
	}
	if w.scene != nil {
		s.Kind, s.Target = w.scene.kind, w.scene.target
		s.Evidence["cause"] = w.scene.cause
	}
	ill := w.ill()
	if ill {
		s.State, s.Value, s.Onset = detect.Confirmed, 2000, w.since
		if now.Sub(w.since) < w.dwell {
			s.State = detect.Suspect
		}
	}
	if s.Kind == detect.BusDown && !ill {
		s.Target = detect.TargetBus // whatever couldn't be heard
	}
	if w.silent {
		s.State, s.N = detect.Unknown, 0
	}
	r := detect.Report{At: now, Epoch: w.epoch, Mode: string(w.mode()), Champion: 1, Signals: []detect.Signal{s}}
	r.Causes = detect.Rank(r.Signals, detect.Scene{Now: now, Mode: r.Mode, Path: detect.DefaultPath})
	r.Shadow = detect.ShadowReport{State: detect.Healthy, N: 20, Reason: "in time"}
	if w.ailing(ill) || w.silent || r.Mode == string(store.ModeModel) {
		r.Shadow.State = detect.Unknown
	}
	for _, watch := range w.watches {
		v := detect.Verdict{Finding: detect.Pending, Since: watch.Since, At: now}
		if now.Sub(watch.Since) > time.Second && !w.silent {
			v.Finding, v.N, v.Bad = detect.Cured, 100, 0
			if ill {
				v.Finding, v.Bad = detect.Broken, 100
			}
		}
		r.Verdicts = append(r.Verdicts, detect.WatchVerdict{IncidentID: watch.IncidentID, ActionID: watch.ActionID, Verdict: v})
	}
	return &event.Alert{Kind: Heartbeat, Fingerprint: Heartbeat, At: now, Signal: encode(r)}
}

// ailing is whether the model beside safe mode is seen to be ill.
func (w *world) ailing(ill bool) bool {
	if w.scene != nil {
		return ill
	}
	return w.fault && !w.gone || w.hard
}

// hand gives the agent a message, on a goroutine that may die with the process.
func (w *world) hand(e event.Event) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h := w.agent.Spec().NewHandler(agents.Life{Agent: Name, Incarnation: w.life})
		err := h.Handle(w.t.Context(), bus.NewMessage(e, time.Now()), nil)
		if err != nil && !errors.Is(err, agents.ErrNotReady) {
			w.t.Errorf("handle %T: %v", e, err)
		}
	}()
	<-done
	synctest.Wait()
}

// pass lets time pass: four rounds a second of reports, ticks and decisions. A process that died is started again.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		for _, e := range []event.Event{w.report(), &event.AgentMetrics{Agent: Name}} {
			w.decide()
			w.hand(e)
			if w.died {
				w.begin()
			}
		}
	}
}

// until lets time pass until the incident is in a state.
func (w *world) until(want incident.State, limit time.Duration) incident.Incident {
	w.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		w.pass(250 * time.Millisecond)
		if in, ok := w.incident(); ok && in.State == want {
			return in
		}
	}
	in, _ := w.incident()
	for _, e := range in.Timeline {
		w.t.Logf("%s %s -> %s %s: %s", e.At.Format("05.000"), e.From, e.State, e.Action, e.Text)
	}
	w.t.Fatalf("never %s", want)
	return incident.Incident{}
}

func (w *world) incident() (in incident.Incident, ok bool) {
	w.t.Helper()
	rows, err := w.store.Incidents(w.t.Context(), store.IncidentFilter{}, "", 10)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(rows) > 1 {
		w.t.Fatalf("%d incidents of one cause", len(rows))
	}
	if len(rows) == 0 {
		return in, false
	}
	if err := json.Unmarshal(rows[0].Document, &in); err != nil {
		w.t.Fatal(err)
	}
	return in, true
}

// decide is governance.
func (w *world) decide() {
	w.t.Helper()
	w.note()
	rows, err := w.store.PendingRequests(w.t.Context(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		if w.govern != nil {
			w.govern(w, r)
			continue
		}
		w.approve(r, w.envelope(r, nil))
	}
}

// note is what whoever makes calls does after them.
func (w *world) note() {
	w.mu.Lock()
	made := w.made
	w.made = nil
	w.mu.Unlock()
	for _, id := range made {
		if err := w.store.CallMade(w.t.Context(), id); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) approve(r store.PolicyRequest, envelope []byte) {
	w.t.Helper()
	_, err := w.store.DecideRequest(w.t.Context(), store.PolicyDecision{
		RequestID: r.ID, Verdict: store.AGLApproved, Rule: "test", By: "governance", Envelope: envelope, DecidedAt: w.clock(),
		ExpiresAt: w.clock().Add(time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// nonces are counted over all worlds, some of which run side by side.
var nonces atomic.Int64

// envelope signs what a request asks for, changed by change.
func (w *world) envelope(r store.PolicyRequest, change func(e *policy.Envelope)) []byte {
	w.t.Helper()
	var p policy.Proposal
	if err := json.Unmarshal(r.Action, &p); err != nil {
		w.t.Fatal(err)
	}
	now := w.clock()
	e := policy.Envelope{
		DecisionID: r.ID, ActionID: r.ActionID, Digest: r.Digest, IncidentID: r.IncidentID, Decision: policy.Approved, Purpose: p.Purpose,
		Proposer: r.Proposer, Approver: "rule:test", Audience: policy.AudienceExecutor, Nonce: fmt.Sprint("n", nonces.Add(1)),
		Issued: now.UnixMicro(), Expires: now.Add(time.Minute).UnixMicro(),
	}
	if change != nil {
		change(&e)
	}
	raw, err := policy.Sign(e, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// breakModel makes the model late from now on.
func (w *world) breakModel(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.since = on, w.clock()
}

// modeChanges counts changes of mode by actions.
func (w *world) modeChanges() (n int) {
	w.t.Helper()
	changes, err := w.store.ConfigHistory(w.t.Context(), 1000, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range changes {
		if c.ActionID == "" {
			continue
		}
		if seen[c.ActionID] {
			w.t.Errorf("action %s took effect twice", c.ActionID)
		}
		seen[c.ActionID] = true
		if c.Setting.Setting == store.SettingMode {
			n++
		}
	}
	return n
}
