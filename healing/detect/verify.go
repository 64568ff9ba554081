package detect

import (
	"fmt"
	"time"
)

// Finding is the result of a verification so far. Silence stays PENDING: it is never success.
type Finding string

// The findings.
const (
	Pending Finding = "PENDING"
	Cured   Finding = "HEALTHY"
	Broken  Finding = "BROKEN"
)

// Verdict is a finding with the numbers it rests on.
type Verdict struct {
	Finding Finding   `json:"finding"`
	Since   time.Time `json:"since"`
	At      time.Time `json:"at"`
	// N samples from after the action, Bad of them bad. Value is the rate of bad ones (of drift: the largest PSI), Low
	// and High its exact 95 % interval (of drift: lower bound, and 0).
	N     int64   `json:"n"`
	Bad   int64   `json:"bad"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	LLR   float64 `json:"llr"`
	// Reason says it for a person.
	Reason string `json:"reason"`
}

// VerifyOptions set how sure a verification must be. The zero value takes the defaults.
type VerifyOptions struct {
	// Alpha is the chance to call a broken service healthy, Beta to call a healthy one broken; 1e-3 each.
	Alpha float64 `json:"alpha"`
	Beta  float64 `json:"beta"`
	// Dwell is how long healthy must hold without a relapse, on data that comes: 1 s; 200 ms of accuracy.
	Dwell time.Duration `json:"dwell_ns"`
	// Broken and Healthy are the rates of bad samples told apart: slow 0.5 and 0.02, wrong as perfRates says.
	Broken  float64 `json:"broken"`
	Healthy float64 `json:"healthy"`
	// Was is what the incident's signal rested on when the action was proposed; zero where that isn't known.
	Was Sample `json:"was,omitzero"`
	// Floor and MinSamples are of the rule for accuracy, which must hold beside the test.
	Floor      float64 `json:"floor,omitempty"`
	MinSamples int64   `json:"min_samples,omitempty"`
	// Shadow takes shadow scores (a model that decides nothing) instead of what decided.
	Shadow bool `json:"shadow"`
	// Version takes only samples of one model version, if not 0.
	Version int `json:"version"`
	// Incarnation is the life of an agent that must be outlived; 0 for any.
	Incarnation int64 `json:"incarnation"`
	// Instance is that of the agent, empty for the first that beats.
	Instance string `json:"instance,omitempty"`
}

// Verification tests whether an action healed what opened an incident, on data of applications accepted after it. It is a
// plain value with a JSON form: its owner keeps it beside the incident. Drift is verified by DriftCheck, as it needs the
// new reference.
type Verification struct {
	Kind    Kind          `json:"kind"`
	Target  string        `json:"target"`
	Since   time.Time     `json:"since"`
	Options VerifyOptions `json:"options"`
	// Test decides; Stay watches for a relapse during the dwell that began at CuredAt.
	Test    SPRT      `json:"test"`
	Stay    SPRT      `json:"stay"`
	CuredAt time.Time `json:"cured_at,omitzero"`
	Fell    bool      `json:"fell"`
	At      time.Time `json:"at"`
	// Second tests the second that began at SecondAt alone; BadSeconds counts those before it that look broken.
	Second     SPRT      `json:"second"`
	SecondAt   time.Time `json:"second_at,omitzero"`
	BadSeconds int       `json:"bad_seconds,omitempty"`
	// Beats counts on-time beats in a row of a working life; From is the watermark when the first of them came.
	Beats    int       `json:"beats,omitempty"`
	LastBeat time.Time `json:"last_beat,omitzero"`
	Instance string    `json:"instance,omitempty"`
	From     int64     `json:"from,omitempty"`
	Moved    bool      `json:"moved,omitempty"`
	// Died says how the life that the action began ended.
	Died string `json:"died,omitempty"`
}

// NewVerification starts a verification of LATENCY_SLO_BREACH, PERF_DROP or AGENT_DOWN for data from since on. d gives the
// champion's validated accuracy, c the floor.
func NewVerification(k Kind, target string, since time.Time, c Config, d Desired, o VerifyOptions) (*Verification, error) {
	healthy, broken := 0.02, 0.5
	switch k {
	case LatencyBreach, AgentDown:
	case PerfDrop:
		healthy, broken = perfRates(c.Perf, d, o.Was)
		_, atFloor := perfRates(c.Perf, d, Sample{})
		o.Floor, o.MinSamples = orElse(o.Floor, 1-atFloor), c.Perf.MinSamples
	default:
		return nil, fmt.Errorf("%w: %s is not verified by rates", ErrConfig, k)
	}
	o.Alpha, o.Beta = orElse(o.Alpha, 1e-3), orElse(o.Beta, 1e-3)
	o.Healthy, o.Broken = orElse(o.Healthy, healthy), orElse(o.Broken, broken)
	if o.Dwell == 0 {
		o.Dwell = time.Second
		if k == PerfDrop {
			o.Dwell = 200 * time.Millisecond // the test and the floor take seconds; further outcomes must agree
		}
	}
	if !(o.Healthy > 0 && o.Healthy < o.Broken && o.Broken < 1) {
		return nil, fmt.Errorf("%w: rates healthy %g and broken %g", ErrConfig, o.Healthy, o.Broken)
	}
	test := NewSPRT(o.Broken, o.Healthy)
	return &Verification{Kind: k, Target: target, Since: since, Options: o, Test: test, Stay: test}, nil
}

func orElse(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}

// Step takes one slot. What was accepted before the action is left out.
func (v *Verification) Step(now time.Time, s Slot) {
	v.At = now
	var n, bad int64
	switch v.Kind {
	case LatencyBreach:
		n, bad = v.decisions(s)
	case PerfDrop:
		n, bad = v.outcomes(s)
	case AgentDown:
		v.beats(now, s)
		for _, a := range s.Attempts {
			if a.Agent == v.Target && v.about(a.Instance) && now.After(v.Since) {
				n, bad = n+a.Attempts, bad+a.Failures
			}
		}
	}
	v.add(now, n, bad)
}

func (v *Verification) add(now time.Time, n, bad int64) {
	if n > 0 {
		if !v.CuredAt.IsZero() {
			v.Stay.Step(n, bad)
		}
		v.Test.Step(n, bad)
		v.stepSecond(now, n, bad)
	}
	if v.CuredAt.IsZero() && v.accepts() {
		v.CuredAt = now
	}
	switch {
	case v.Kind == PerfDrop:
		v.Fell = v.Fell || n > 0 && v.perfBroken()
	case v.Test.Rejects(v.Options.Beta) || v.Stay.Rejects(v.Options.Beta):
		v.Fell = v.Fell || v.lasts()
	}
}

// brokenSeconds is how many seconds must look broken before an action is found not to have helped. The samples of a stall are
// one event, of a busy machine or a long commit, and the test takes them for as many.
const brokenSeconds = 3

// stepSecond adds samples to the second that they were counted in: what waited during a stall is counted together after it.
func (v *Verification) stepSecond(now time.Time, n, bad int64) {
	if now.Sub(v.SecondAt) >= time.Second {
		v.BadSeconds = v.badSeconds()
		v.Second, v.SecondAt = NewSPRT(v.Options.Broken, v.Options.Healthy), now
	}
	v.Second.Step(n, bad)
}

// badSeconds counts the present one as it looks so far.
func (v *Verification) badSeconds() int {
	if v.Second.LLR < 0 {
		return v.BadSeconds + 1
	}
	return v.BadSeconds
}

func (v *Verification) lasts() bool { return v.badSeconds() >= brokenSeconds }

// accepts is the test of an agent too: a few beats on time and progress; failures are tested where there are attempts.
func (v *Verification) accepts() bool {
	switch v.Kind {
	case AgentDown:
		return v.Beats >= 3 && v.Moved && v.Test.LLR >= 0
	case PerfDrop:
		return v.perfHealthy()
	}
	return v.Test.Accepts(v.Options.Alpha)
}

func (v *Verification) wanted(k Cohort) bool {
	return !k.Accepted.Before(v.Since) && k.Shadow == v.Options.Shadow && (v.Options.Version == 0 || k.Version == v.Options.Version)
}

func (v *Verification) decisions(s Slot) (n, bad int64) {
	for _, d := range s.Decisions {
		if v.wanted(d.Cohort) {
			n += d.Fast + d.Slow + d.Failed
			bad += d.Slow + d.Failed
		}
	}
	return n, bad
}

func (v *Verification) outcomes(s Slot) (n, bad int64) {
	for _, o := range s.Outcomes {
		if v.wanted(o.Cohort) && (o.Mode != ModeSafe || o.Shadow) {
			n += o.N
			bad += o.N - o.Correct
		}
	}
	return n, bad
}

// beats follows one instance of the agent: beats in a row without a gap, and whether its watermark moves.
// about reports whether an instance is the one to be verified.
func (v *Verification) about(instance string) bool {
	return v.Options.Instance == "" || v.Options.Instance == instance
}

func (v *Verification) beats(now time.Time, s Slot) {
	for _, b := range s.Beats {
		if b.Agent != v.Target || !v.about(b.Instance) || !now.After(v.Since) || b.Incarnation <= v.Options.Incarnation && v.Options.Incarnation != 0 {
			continue
		}
		works := b.State == AgentRunning || b.State == AgentSlow
		if b.Instance != v.Instance && v.Instance != "" && works {
			continue
		}
		if !works || v.Beats == 0 || now.Sub(v.LastBeat) > 500*time.Millisecond {
			v.Beats, v.From, v.Moved = 0, b.Watermark, false
		}
		if works {
			v.Beats++
			v.Instance, v.LastBeat = b.Instance, now
			v.Moved = v.Moved || b.Watermark > v.From
		}
	}
}

// Heed takes what the detectors say beside the slots: an agent whose new life has died is not healed, however long one
// would wait. The notice of death may have come before the verification began; the signal still tells.
func (v *Verification) Heed(signals []Signal) {
	for _, s := range signals {
		if v.Kind != AgentDown || s.Kind != AgentDown || s.Target != v.Target || v.Options.Incarnation == 0 || s.State != Confirmed {
			continue
		}
		at, _ := s.Evidence[evidenceDiedAt].(time.Time)
		if int64(s.number(evidenceDied)) <= v.Options.Incarnation || at.Before(v.Since) {
			continue
		}
		v.Died, v.Fell = "its new life crashed again", true
		switch s.text("cause") {
		case AgentHung:
			v.Died = "its new life hung again"
		case AgentQuarantined:
			v.Died = "its new life ended in quarantine"
		}
		if why := s.text("detail"); why != "" {
			v.Died += ": " + why
		}
	}
}

// Verdict says what is known now. HEALTHY and BROKEN are final; PENDING may become a failure by its owner's timeout.
func (v *Verification) Verdict(now time.Time) Verdict {
	r := Verdict{Finding: Pending, Since: v.Since, At: now, N: v.Test.N, Bad: v.Test.Bad, High: 1, LLR: v.Test.LLR}
	if r.N > 0 {
		r.Value = float64(r.Bad) / float64(r.N)
		r.Low, r.High = LowerBound(r.Bad, r.N, 0.025), UpperBound(r.Bad, r.N, 0.025)
	}
	dwelt := !v.CuredAt.IsZero() && now.Sub(v.CuredAt) >= v.Options.Dwell
	stays := v.Stay.N > 0 && v.Stay.LLR >= 0 || v.Kind == AgentDown && v.Beats > 3 && v.accepts()
	if v.Kind == PerfDrop {
		stays = v.Stay.N > 0 && v.accepts() // a second of outcomes alone says nothing of accuracy
	}
	switch {
	case v.Died != "":
		r.Finding, r.Reason = Broken, v.Died
	case v.Fell:
		r.Finding = Broken
		r.Reason = fmt.Sprintf("%d of %d samples from after the action are bad", r.Bad, r.N) + v.why()
	case dwelt && stays:
		r.Finding = Cured
		r.Reason = fmt.Sprintf("%d of %d samples from after the action are bad, for %v", r.Bad, r.N, now.Sub(v.CuredAt).Round(100*time.Millisecond)) + v.why()
	case v.CuredAt.IsZero():
		r.Reason = fmt.Sprintf("%d samples from after the action don't decide yet", r.N) + v.why()
	default:
		r.Reason = "healthy, while the dwell lasts"
	}
	return r
}
