package incident

import (
	"errors"
	"testing"
	"time"
)

func driftLadder() []Rung { return randomLadders[DataDrift] }

func (s *script) types() (out []string) {
	for _, a := range s.in.Actions {
		out = append(out, a.Type+" "+string(a.Result))
	}
	return out
}

func (s *script) want(actions ...string) *script {
	s.t.Helper()
	got := s.types()
	if len(got) != len(actions) {
		s.t.Fatalf("actions %q, want %q", got, actions)
	}
	for i := range got {
		if got[i] != actions[i] {
			s.t.Fatalf("actions %q, want %q", got, actions)
		}
	}
	return s
}

func drifted(t *testing.T, facts map[string]bool) *script {
	s := opened(t, DataDrift, nil)
	s.in, s.fx, _ = Open(Start{ID: "i1", Signal: func() Signal {
		sig := s.signal(DataDrift, Confirmed)
		sig.Facts = facts
		return sig
	}(), Ladder: driftLadder()}, s.now)
	return s
}

func TestDriftIsHealedByTheGatesResult(t *testing.T) {
	no := map[string]bool{FactEarlierReference: false}
	s := drifted(t, no).decide(AGLApproved).is(Executing, StatusMitigating).succeed("promote").is(Proposed, StatusMitigating)
	if a := s.in.current(); a.Type != PromoteModel || a.Params["digest"] != "d7" {
		t.Fatalf("%+v", a)
	}
	s.decide(AGLApproved).succeed("").is(Proposed, StatusMitigating).decide(AGLApproved).succeed("").is(Verifying, StatusMitigating)
	if fx := s.emitted(FxVerify); fx.Verification != "reference" || fx.Action.Type != AcceptReference {
		t.Errorf("%+v", fx)
	}
	s.wait(10*time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	s.want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING VERIFIED", "PROMOTE_MODEL VERIFIED", "ACCEPT_REFERENCE VERIFIED")

	s = drifted(t, no).decide(AGLApproved).succeed("keep").decide(AGLApproved).succeed("")
	s.wait(time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	s.want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING VERIFIED", "ACCEPT_REFERENCE VERIFIED")

	s = drifted(t, no).decide(AGLApproved).succeed("none").is(Undoing, StatusMitigating).wait(time.Second).undone().sig(Confirmed)
	s.is(Escalated, StatusMitigating).want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING NOT_HELD")

	// Not shown: both are taken back, the last one first.
	s = drifted(t, no).decide(AGLApproved).succeed("promote").decide(AGLApproved).succeed("").decide(AGLApproved).succeed("")
	s.wait(time.Second).verdict(Confirmed).is(Undoing, StatusMitigating)
	for _, kind := range []string{AcceptReference, PromoteModel} {
		if s.in.current().Type != kind {
			t.Fatalf("undoes %s, want %s", s.in.current().Type, kind)
		}
		s.decide(AGLApproved).undone().is(Undoing, StatusMitigating)
	}
	s.undone().is(Detected, StatusMitigating) // the training itself: only fenced
	s.want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING NOT_HELD", "PROMOTE_MODEL UNDONE", "ACCEPT_REFERENCE UNDONE")

	// A promotion that is denied undoes nothing that stands but the rung.
	s = drifted(t, no).decide(AGLApproved).succeed("promote").decide(AGLDenied).is(Undoing, StatusMitigating).wait(time.Second)
	s.undone().is(Detected, StatusMitigating).want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING NOT_HELD", "PROMOTE_MODEL DENIED")
}

func TestAReturnToAnEarlierReference(t *testing.T) {
	s := drifted(t, map[string]bool{FactEarlierReference: true}).decide(AGLApproved).succeed("").wait(time.Second).verdict(Healthy)
	s.is(Resolved, StatusResolved).want("RESTORE_REFERENCE VERIFIED")
	again := s.wait(time.Minute).signal(DataDrift, Confirmed)
	if found, ok := Find([]Incident{s.in}, again, s.now); !ok || found.ID != "i1" {
		t.Error("a relapse within ten minutes is not found")
	}
	again.Facts = map[string]bool{FactEarlierReference: true}
	if _, ok := Find([]Incident{s.in}, again, s.now); ok {
		t.Error("a return to an earlier reference is no relapse")
	}
	if _, ok := Find([]Incident{s.in}, s.wait(11*time.Minute).signal(DataDrift, Confirmed), s.now); ok {
		t.Error("after ten minutes it is another incident")
	}
}

func TestADataBugGoesToAPerson(t *testing.T) {
	s := &script{t: t, now: t0}
	sig := s.signal(DataDrift, Confirmed)
	sig.DataBug = "unit: credit_score times 1000"
	s.in, s.fx, _ = Open(Start{ID: "i1", Signal: sig, Ladder: driftLadder()}, s.now)
	s.is(Escalated, StatusOpen).want()
	if fx := s.emitted(FxNotify); fx.Escalation != EscDataBug {
		t.Errorf("%+v", fx)
	}
	for range 17 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved)
}

func TestRefusedAndDeniedRungsArePassedOver(t *testing.T) {
	s := opened(t, PerfDrop, randomLadders[PerfDrop])
	s.step(Event{Type: EvRefused, ActionID: s.in.CurrentID, Reason: "no previous version"}).is(Proposed, StatusOpen)
	s.decide(AGLApproved).succeed("").is(Proposed, StatusMitigating).want("ROLLBACK_MODEL REFUSED", "ENABLE_SAFE_MODE ", "TRIGGER_RETRAINING ")
	s.decide(AGLDenied).is(Escalated, StatusMitigating).want("ROLLBACK_MODEL REFUSED", "ENABLE_SAFE_MODE ESCALATED", "TRIGGER_RETRAINING DENIED")
	if s.in.Actions[0].Reason != "no previous version" || s.in.Actions[2].AGL != AGLDenied || !s.in.Degraded {
		t.Errorf("%+v", s.in.Actions)
	}

	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLDenied).decide(AGLDenied).is(Escalated, StatusOpen)
	for _, f := range s.all {
		if f.Type == FxExecute {
			t.Error("what was denied was executed")
		}
	}
}

// TestWhoeverWasAskedInVainDenies: silence is governance's denial to record, so the request isn't taken back.
func TestWhoeverWasAskedInVainDenies(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLEscalated).is(AwaitingApproval, StatusOpen)
	s.wait(Defaults().ApprovalTTL+time.Minute).sig(Confirmed).want("ENABLE_SAFE_MODE DENIED", "RESTART_AGENT ")
	for _, f := range s.all {
		if f.Type == FxWithdraw {
			t.Error("a request that expired was withdrawn")
		}
	}
}

func TestTheCauseIsTestedAgainBeforeActing(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLEscalated).is(AwaitingApproval, StatusOpen)
	s.wait(5*time.Second).decide(AGLApproved).is(Approved, StatusOpen) // the signal is old by now
	s.wait(time.Second).sig(Unknown).is(Approved, StatusOpen)
	s.wait(time.Second).sig(Confirmed).is(Executing, StatusMitigating)

	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLEscalated)
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved).want("ENABLE_SAFE_MODE WITHDRAWN")
	var m *Memory
	for _, f := range s.all {
		if f.Type == FxRemember {
			m = f.Memory
		}
	}
	if !s.in.SelfRecovered || m == nil || m.Action != "" || !m.SelfRecovered {
		t.Errorf("credit for nothing: %+v", m)
	}
	s.decide2(t, AGLApproved) // too late
	s.is(Cancelled, StatusResolved)
}

// decide2 answers the last request although nothing is current.
func (s *script) decide2(t *testing.T, agl string) {
	t.Helper()
	a := s.in.Actions[len(s.in.Actions)-1]
	s.step(Event{Type: EvDecision, Decision: &Decision{RequestID: a.RequestID, AGL: agl, ExpiresAt: s.now.Add(time.Hour)}})
}

func TestApprovalsExpire(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()[:1]).decide(AGLEscalated)
	s.wait(5*time.Minute).sig(Confirmed).is(Escalated, StatusOpen).want("ENABLE_SAFE_MODE DENIED")
	s.decide2(t, AGLApproved)
	s.is(Escalated, StatusOpen)

	// Approved, then the process is away for an hour: asked again, never used.
	s = opened(t, LatencySLOBreach, latencyLadder()).step(Event{Type: EvPause}).decide(AGLApproved).is(Approved, StatusOpen)
	s.in, s.fx = Resume(s.in, s.wait(time.Hour).now, false)
	s.step(Event{Type: EvResume}).is(Proposed, StatusOpen)
	if fx := s.emitted(FxPolicy); fx.RequestID != "i1/a1/r2" || fx.Action.ID != "i1/a1" {
		t.Errorf("%+v", fx)
	}
}

func TestTimeoutAndSilenceAreNoSuccess(t *testing.T) {
	verifying := func() *script {
		return opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("").is(Verifying, StatusMitigating)
	}
	s := verifying().wait(2 * time.Minute).step(Event{Type: EvTick})
	s.is(Undoing, StatusMitigating).decide(AGLApproved).undone().is(Detected, StatusMitigating)
	s.wait(11*time.Minute).step(Event{Type: EvTick}).is(Escalated, StatusMitigating)
	if s.in.Escalation != EscWaited {
		t.Error(s.in.Escalation)
	}
	for _, shown := range []Verdict{
		{State: Healthy, N: 50, From: t0.Add(-time.Second)}, // on data from before the action
		{State: Healthy, N: 0, From: t0},                    // on none
		{State: Unknown, N: 50, From: t0},
	} {
		s = verifying()
		for range 10 {
			shown.ObservedAt = s.wait(time.Second).now
			s.step(Event{Type: EvVerdict, ActionID: s.in.CurrentID, Verdict: &shown}).is(Verifying, StatusMitigating)
		}
	}
	s = verifying().wait(time.Second)
	s.verdict(Healthy).wait(500*time.Millisecond).verdict(Unknown).wait(time.Second).verdict(Healthy).is(Verifying, StatusMitigating) // the dwell begins anew
	s.step(Event{Type: EvVerdict, ActionID: s.in.CurrentID, Verdict: &Verdict{State: Healthy, Worse: "PERF_DROP", N: 9, From: s.now, ObservedAt: s.now}}).is(Undoing, StatusMitigating)
	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).wait(time.Minute).step(Event{Type: EvTick}).is(Undoing, StatusMitigating) // it may have taken effect
	s.wait(2*time.Minute).step(Event{Type: EvTick}).is(Escalated, StatusMitigating)
	if s.in.Escalation != EscUndoFailed {
		t.Error(s.in.Escalation)
	}
}

func TestPauseLockAndDryRun(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).step(Event{Type: EvPause}).decide(AGLApproved).is(Approved, StatusOpen)
	s.step(Event{Type: EvResume}).is(Executing, StatusMitigating)
	s.step(Event{Type: EvPause}).succeed("").wait(time.Second).verdict(Confirmed).is(Undoing, StatusMitigating)
	s.decide(AGLApproved).wait(time.Second).undone().sig(Confirmed).is(Detected, StatusMitigating) // undo isn't stopped, the next rung is
	s.step(Event{Type: EvTick, Busy: "i2"}).step(Event{Type: EvResume, Busy: "i2"}).is(Detected, StatusMitigating)
	s.step(Event{Type: EvTick}).is(Proposed, StatusMitigating)

	s = opened(t, LatencySLOBreach, latencyLadder()).step(Event{Type: EvDryRun, On: true}).decide(AGLApproved).is(Observed, StatusOpen)
	s.want("ENABLE_SAFE_MODE DRY_RUN")
	for _, f := range s.all {
		if f.Type == FxExecute || f.Type == FxNotify {
			t.Errorf("a dry run did %s", f.Type)
		}
	}
}

func TestLockedByTarget(t *testing.T) {
	a := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).is(Executing, StatusMitigating).in
	b := opened(t, LatencySLOBreach, latencyLadder()).in
	b.ID = "i2"
	if got := Locked([]Incident{a, b}, b); got != "i1" {
		t.Errorf("locked by %q", got)
	}
	if got := Locked([]Incident{a, b}, a); got != "" {
		t.Errorf("the holder is locked by %q", got)
	}
	c := opened(t, DataDrift, driftLadder()).in
	c.ID = "i3"
	if got := Locked([]Incident{a, b, c}, c); got != "" {
		t.Errorf("another target is locked by %q", got)
	}
}

func TestAPersonSupersedes(t *testing.T) {
	person := func(setting, value string) Event {
		return Event{Type: EvPerson, Setting: setting, Value: value, By: "eva"}
	}
	s := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("")
	s.step(person("champion", "4")).is(Verifying, StatusMitigating)
	s.step(person("mode", "MODEL")).is(Superseded, StatusFailed).want("ENABLE_SAFE_MODE SUPERSEDED")
	if s.in.Degraded {
		t.Error("the person has left safe mode")
	}
	s = toSafe(t).step(person("mode", "MODEL")).is(Superseded, StatusResolved)
	if s.in.Degraded || s.in.RestoredAt.IsZero() {
		t.Error("the model is back, by a person's hand")
	}
}

func TestAMoreSpecificCauseTakesOver(t *testing.T) {
	hung := func(s *script) Event {
		sig := s.signal(AgentDown, Confirmed)
		sig.Target, sig.Fingerprint = "model", "AGENT_DOWN/model"
		return Event{Type: EvTakeOver, TakeOver: &TakeOver{Signal: sig, Ladder: randomLadders[AgentDown]}}
	}
	s := opened(t, LatencySLOBreach, latencyLadder())
	s.step(hung(s)).is(Proposed, StatusOpen).want("ENABLE_SAFE_MODE WITHDRAWN", "RESTART_AGENT ")
	if a := s.in.current(); s.in.Kind != AgentDown || a.Params["agent"] != "model" || len(s.in.Covers) != 1 {
		t.Errorf("%+v", s.in)
	}
	if found, ok := Find([]Incident{s.in}, s.signal(LatencySLOBreach, Confirmed), s.now); !ok || found.ID != "i1" {
		t.Error("the old fingerprint opens a second incident")
	}
	// Safe mode stands already: it stays as protection and earns nothing beside the restart.
	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("")
	s.step(hung(s)).is(Proposed, StatusMitigating).decide(AGLApproved).succeed("").wait(time.Second).verdict(Healthy)
	s.wait(time.Second).verdict(Healthy).is(Degraded, StatusResolved).want("ENABLE_SAFE_MODE STOOD", "RESTART_AGENT VERIFIED")
	// While something is being executed it waits.
	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved)
	s.step(hung(s)).is(Executing, StatusMitigating).succeed("")
	if s.in.Kind != AgentDown {
		t.Errorf("%s %s", s.in.Kind, s.in.State)
	}
}

// TestWhatIsResolvedCoversNothing: what an incident took over is its own until that is healthy. What fails after it, in safe
// mode or with a person, is another fault; one that has an incident of its own stays with that.
func TestWhatIsResolvedCoversNothing(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("")
	late := s.signal(LatencySLOBreach, Confirmed)
	down := s.signal(AgentDown, Confirmed)
	down.Target, down.Fingerprint = "model", "AGENT_DOWN/model"
	s.step(Event{Type: EvTakeOver, TakeOver: &TakeOver{Signal: down, Ladder: randomLadders[AgentDown]}})
	if found, ok := Find([]Incident{s.in}, late, s.now); !ok || found.ID != "i1" {
		t.Error("what it took over has no incident")
	}
	s.decide(AGLApproved).succeed("").wait(time.Second).verdict(Healthy).wait(time.Second).verdict(Healthy).is(Degraded, StatusResolved)
	for _, state := range []State{Degraded, Escalated} {
		s.in.State = state
		if found, ok := Find([]Incident{s.in}, s.wait(time.Second).signal(LatencySLOBreach, Confirmed), s.now); ok {
			t.Errorf("%s: %s swallows another fault", state, found.Kind)
		}
	}
	own := opened(t, LatencySLOBreach, latencyLadder()).in
	own.ID = "i2"
	s.in.ResolvedAt = time.Time{}
	if found, _ := Find([]Incident{s.in, own}, late, s.now); found.ID != "i2" {
		t.Errorf("found %s, want its own", found.ID)
	}
}

// TestSafeModeIsGivenTheTimeToProtect: the model agent fails, no restart helps, safe mode stands. What failed before that is in
// the window for a while, and is no reason to call a person; what fails after it is.
func TestSafeModeIsGivenTheTimeToProtect(t *testing.T) {
	restart := Rung{Action: RestartAgent, Params: map[string]string{"agent": "model"}, Verification: "agent"}
	ladder := []Rung{restart, {Action: EnableSafeMode, Protect: true}, restart}
	atTheEnd := func() *script {
		s := opened(t, AgentDown, ladder).decide(AGLApproved).succeed("").wait(time.Second).verdict(Confirmed).undone()
		s.wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
		s.wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("").wait(time.Second).verdict(Confirmed).undone()
		sig := s.wait(time.Second).signal(AgentDown, Confirmed)
		sig.WindowFrom = s.now.Add(-2 * time.Second)
		return s.step(Event{Type: EvSignal, Signal: &sig}).is(Detected, StatusMitigating)
	}
	s := atTheEnd()
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Degraded, StatusResolved).want("RESTART_AGENT NOT_HELD", "ENABLE_SAFE_MODE VERIFIED", "RESTART_AGENT NOT_HELD")
	if s.in.Escalations != 0 {
		t.Errorf("%d calls", s.in.Escalations)
	}
	atTheEnd().wait(2*time.Second).sig(Confirmed).is(Escalated, StatusMitigating)
}

func TestSuspicions(t *testing.T) {
	open := func() *script {
		s := &script{t: t, now: t0}
		s.in, s.fx, _ = Open(Start{ID: "i1", Signal: s.signal(LatencySLOBreach, Suspect), Ladder: latencyLadder()}, s.now)
		return s.is(Suspected, StatusOpen)
	}
	s := open()
	sig := s.wait(time.Second).signal(LatencySLOBreach, Confirmed)
	sig.NotYet = "a handler is past its deadline"
	s.step(Event{Type: EvSignal, Signal: &sig}).is(Suspected, StatusOpen)
	s.wait(time.Second).sig(Confirmed).is(Proposed, StatusOpen)
	s = open()
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved)
	open().wait(time.Hour).step(Event{Type: EvTick}).is(Failed, StatusFailed)
	s = open()
	for range 11 * 60 {
		s.wait(time.Second).sig(Suspect)
	}
	s.is(Escalated, StatusOpen)
	s.wait(time.Second).sig(Confirmed).is(Proposed, StatusOpen)
}

func TestRelapse(t *testing.T) {
	s := toSafe(t).shadow(Healthy, 20*time.Second).decide(AGLApproved).succeed("")
	s.wait(time.Second).verdict(Healthy).wait(2*time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	s.wait(3*time.Minute).sig(Confirmed).is(Proposed, StatusOpen)
	if len(s.in.Relapses) != 1 || !s.in.ResolvedAt.IsZero() {
		t.Errorf("%+v", s.in.Relapses)
	}
}

func TestStepRefusesNonsense(t *testing.T) {
	in := opened(t, LatencySLOBreach, latencyLadder()).in
	for _, ev := range []Event{
		{},
		{Type: "PARTY"},
		{Type: EvSignal},
		{Type: EvVerdict},
		{Type: EvDecision},
		{Type: EvSucceeded},
		{Type: EvPerson},
		{Type: EvTakeOver},
		{Type: EvShadow},
		{Type: EvSignal, Signal: &Signal{Numbers: map[string]float64{"x": nan()}}},
	} {
		out, fx, err := Step(in, ev, t0)
		if !errors.Is(err, ErrEvent) || len(fx) > 0 || out.Steps != in.Steps {
			t.Errorf("%+v: %v", ev, err)
		}
	}
	if _, _, err := Step(Incident{ID: "x", State: "?"}, Event{Type: EvTick}, t0); !errors.Is(err, ErrIncident) {
		t.Error(err)
	}
	if _, _, err := Open(Start{ID: "x", Signal: Signal{Kind: "k", Fingerprint: "f", State: Healthy}}, t0); !errors.Is(err, ErrEvent) {
		t.Error(err)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

// TestKilledAnywhere: a crash after every single step and every single effect of a healing; each action takes effect
// once, and the incident ends healed.
func TestKilledAnywhere(t *testing.T) {
	for kill := range 80 {
		w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
		w.open(LatencySLOBreach, Confirmed, latencyLadder(), Settings{})
		w.light = true // TestRandomLives checks each step
		done, killed := 0, false
		breathe := func() {
			if done++; done == kill {
				killed = true
				w.crash()
			}
		}
		for range 400 {
			w.now = w.now.Add(200 * time.Millisecond)
			for len(w.effects) > 0 {
				w.perform(1)
				breathe()
			}
			for len(w.inbox) > 0 {
				ev := w.inbox[0]
				w.inbox = w.inbox[1:]
				w.step(ev)
				breathe()
			}
			decidesModel := w.modes%2 == 0
			w.sig(map[bool]SignalState{true: Confirmed, false: Healthy}[decidesModel && w.modes == 0])
			w.step(Event{Type: EvShadow, Shadow: &Shadow{State: Healthy, N: 1, ObservedAt: w.now}})
			if w.in.State == Verifying {
				w.step(Event{Type: EvVerdict, ActionID: w.in.CurrentID, Verdict: &Verdict{State: Healthy, N: 9, From: w.now, ObservedAt: w.now}})
			}
			w.step(Event{Type: EvTick})
		}
		if w.in.State != Resolved || w.modes != 2 || w.executes != 2 {
			t.Fatalf("killed at %d: %s (%s), %d changes of mode, %d executed", kill, w.in.State, w.in.Reason, w.modes, w.executes)
		}
		if kill > 0 && !killed {
			t.Logf("a healing has %d points to be killed at", done)
			return
		}
	}
	t.Error("80 points were not enough")
}
