package detect

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config holds every threshold of the rules and the budget of the detectors. Defaults are the usual values.
type Config struct {
	Budget  Budget        `json:"budget"`
	Latency LatencyConfig `json:"latency"`
	Perf    PerfConfig    `json:"perf"`
	Drift   DriftConfig   `json:"drift"`
	Agent   AgentConfig   `json:"agent"`
	// Pause is the gap between two steps that counts as monitoring's own pause (or a clock that jumped).
	Pause time.Duration `json:"pause_ns"`
}

// LatencyConfig rules LATENCY_SLO_BREACH: more than half of the decisions of Window are slower than SLO, for Dwell.
type LatencyConfig struct {
	SLO    time.Duration `json:"slo_ns"`
	Window time.Duration `json:"window_ns"`
	// MinSamples is how many decisions, and late ones in flight, Window must hold.
	MinSamples int64         `json:"min_samples"`
	Dwell      time.Duration `json:"dwell_ns"`
	// Hold bounds how long a breach stays SUSPECT because a handler is past its deadline and may yet prove to hang.
	Hold time.Duration `json:"hold_ns"`
	// Clear is the share of slow decisions under which a breach is over.
	Clear float64 `json:"clear_share"`
	// BaseRate is the share of slow decisions that is normal.
	BaseRate float64 `json:"base_rate"`
}

// PerfConfig rules PERF_DROP: accuracy under min(Floor, validated - Margin) on the last Window outcomes.
type PerfConfig struct {
	Floor      float64 `json:"floor"`
	Margin     float64 `json:"margin"`
	MinSamples int64   `json:"min_samples"`
	Window     int64   `json:"window"`
	// Posterior is the least probability that accuracy really is under the floor.
	Posterior float64 `json:"posterior"`
	// Stale is the age at which outcomes no longer count.
	Stale time.Duration `json:"stale_ns"`
}

// DriftConfig rules DATA_DRIFT: the lower bound of PSI above Confirm, until PSI is below Clear.
type DriftConfig struct {
	Confirm    float64 `json:"confirm"`
	Clear      float64 `json:"clear"`
	MinSamples int64   `json:"min_samples"`
	// Alpha is the error of the lower bound, over all features together.
	Alpha float64 `json:"alpha"`
	// MinReference is how many reference values the sequential detector needs; below it is WARMING.
	MinReference int64 `json:"min_reference"`
	// Stale is how long a feature may go without a value before nothing is known of it.
	Stale time.Duration `json:"stale_ns"`
}

// AgentConfig rules AGENT_DOWN.
type AgentConfig struct {
	// Suspect and Missing are ages of the last heartbeat.
	Suspect time.Duration `json:"suspect_ns"`
	Missing time.Duration `json:"missing_ns"`
	// Window, MinAttempts and FailShare: more than FailShare of at least MinAttempts attempts failed within Window.
	Window      time.Duration `json:"window_ns"`
	MinAttempts int64         `json:"min_attempts"`
	FailShare   float64       `json:"fail_share"`
	// Recover is how many beats in a row say that an agent is back.
	Recover int `json:"recover_beats"`
	// Stuck is how long a queue may age without progress before the agent is SUSPECT.
	Stuck time.Duration `json:"stuck_ns"`
	// Gone is how long a whole process must be silent to count as gone: nothing here can start its agents again.
	Gone time.Duration `json:"gone_ns"`
	// Forget is how long a missing instance is remembered while another instance of the agent lives.
	Forget time.Duration `json:"forget_ns"`
	// Expect lists agents that should beat: of one that was never heard nothing is known, which is said.
	Expect []string `json:"expect,omitempty"`
}

// DefaultConfig returns the usual thresholds.
func DefaultConfig() Config {
	return Config{
		Budget: DefaultBudget(),
		Latency: LatencyConfig{
			SLO: 300 * time.Millisecond, Window: 2 * time.Second, MinSamples: 10, Dwell: 500 * time.Millisecond,
			Hold: time.Second, Clear: 0.25, BaseRate: 0.01,
		},
		Perf:  PerfConfig{Floor: 0.80, Margin: 0.05, MinSamples: 50, Window: 100, Posterior: 0.95, Stale: 10 * time.Minute},
		Drift: DriftConfig{Confirm: 0.2, Clear: 0.1, MinSamples: 500, Alpha: 0.01, MinReference: 10_000, Stale: 30 * time.Second},
		Agent: AgentConfig{
			Suspect: 500 * time.Millisecond, Missing: 1500 * time.Millisecond, Window: 2 * time.Second, MinAttempts: 20,
			FailShare: 0.5, Recover: 3, Stuck: 5 * time.Second, Gone: 5 * time.Second, Forget: 10 * time.Minute,
		},
		Pause: time.Second,
	}
}

// ErrConfig is returned for a setting that makes no sense.
var ErrConfig = errors.New("detect: bad setting")

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	positive := map[string]time.Duration{
		"latency.slo": c.Latency.SLO, "latency.window": c.Latency.Window, "perf.stale": c.Perf.Stale, "drift.stale": c.Drift.Stale,
		"agent.suspect": c.Agent.Suspect, "agent.missing": c.Agent.Missing, "agent.window": c.Agent.Window, "agent.gone": c.Agent.Gone, "pause": c.Pause,
	}
	for _, name := range sortedKeys(positive) {
		if positive[name] <= 0 {
			return fmt.Errorf("%w: %s must be positive, is %v", ErrConfig, name, positive[name])
		}
	}
	shares := map[string]float64{
		"latency.clear_share": c.Latency.Clear, "latency.base_rate": c.Latency.BaseRate, "perf.floor": c.Perf.Floor,
		"perf.posterior": c.Perf.Posterior, "drift.alpha": c.Drift.Alpha, "agent.fail_share": c.Agent.FailShare,
	}
	for _, name := range sortedKeys(shares) {
		if !(shares[name] > 0 && shares[name] < 1) {
			return fmt.Errorf("%w: %s must be between 0 and 1, is %g", ErrConfig, name, shares[name])
		}
	}
	switch {
	case c.Latency.MinSamples < 1 || c.Perf.MinSamples < 1 || c.Drift.MinSamples < 1 || c.Agent.MinAttempts < 1:
		return fmt.Errorf("%w: every minimum of samples must be at least 1", ErrConfig)
	case c.Latency.Dwell < 0 || c.Latency.Hold < 0:
		return fmt.Errorf("%w: latency.dwell and latency.hold must not be negative", ErrConfig)
	case c.Perf.Window < c.Perf.MinSamples:
		return fmt.Errorf("%w: perf.window %d is below perf.min_samples %d", ErrConfig, c.Perf.Window, c.Perf.MinSamples)
	case !(c.Drift.Clear > 0 && c.Drift.Clear < c.Drift.Confirm):
		return fmt.Errorf("%w: drift.clear %g must be above 0 and below drift.confirm %g", ErrConfig, c.Drift.Clear, c.Drift.Confirm)
	case c.Agent.Suspect > c.Agent.Missing:
		return fmt.Errorf("%w: agent.suspect %v is above agent.missing %v", ErrConfig, c.Agent.Suspect, c.Agent.Missing)
	}
	_, err := c.Budget.Threshold(1)
	return err
}

// Budget is what the operator allows: from it the thresholds follow.
type Budget struct {
	// FalseAlarms a month, of all sequential detectors together; Events a month of one stream.
	FalseAlarms float64 `json:"false_alarms_month"`
	Events      float64 `json:"events_month"`
	// Change is the chance of a false alarm that each change of the champion may add: a new model is judged with a head
	// start of so much of the threshold, since models break when they change.
	Change float64 `json:"per_model_change"`
	// Phi is the lag-1 autocorrelation of clean data, Benign a harmless shift, in standard deviations, that must not
	// alarm, Least the smallest shift (delta) that matters.
	Phi    float64 `json:"phi"`
	Benign float64 `json:"benign_shift"`
	Least  float64 `json:"least_shift"`
}

// DefaultBudget allows one false alarm in a hundred months at 50 events a second, and one in a thousand changes of the
// champion.
func DefaultBudget() Budget {
	return Budget{FalseAlarms: 0.01, Events: 50 * 30 * 24 * 3600, Change: 1e-3, Least: 0.5}
}

// Threshold returns A, the same for each of streams detectors: by the union bound their false alarms together stay
// within the budget, whatever their dependence: A0 = events x streams / false alarms. Data that isn't independent needs
// more: ln A = ln A0 (1+phi)/(1-phi)/(1 - 2 benign/least) (detection reference §0.4; a heuristic, on the safe side). Past
// phi 0.5, or a harmless shift of half the least one, no threshold helps, which is an error.
func (b Budget) Threshold(streams int) (float64, error) {
	switch {
	case !(b.FalseAlarms > 0) || !(b.Events > 0) || streams < 1:
		return 0, fmt.Errorf("%w: budget needs false alarms (%g), events (%g) and streams (%d) above 0", ErrConfig, b.FalseAlarms, b.Events, streams)
	case !(b.Change >= 0 && b.Change <= 0.1):
		return 0, fmt.Errorf("%w: the chance of a false alarm at a change of the champion is %g, give 0 to 0.1", ErrConfig, b.Change)
	case b.Phi < 0 || b.Phi > 0.5:
		return 0, fmt.Errorf("%w: autocorrelation %g: between 0 and 0.5, or the detector would not keep its promise", ErrConfig, b.Phi)
	case b.Benign < 0 || b.Benign > 0 && !(2*b.Benign < b.Least):
		return 0, fmt.Errorf("%w: harmless shift %g must be below half the least shift %g", ErrConfig, b.Benign, b.Least)
	}
	log := math.Log(max(b.Events*float64(streams)/b.FalseAlarms, math.E))
	log *= (1 + b.Phi) / (1 - b.Phi)
	if b.Benign > 0 {
		log /= 1 - 2*b.Benign/b.Least
	}
	if log > 600 {
		return 0, fmt.Errorf("%w: the budget asks for a threshold of e^%.0f", ErrConfig, log)
	}
	return math.Exp(log), nil
}

// Autocorrelation estimates phi (lag 1) of clean values in their order; 0 for fewer than 3, or constant ones.
func Autocorrelation(values []float64) float64 {
	var mean float64
	for _, x := range values {
		mean += x / float64(len(values))
	}
	var variance, covariance float64
	for i, x := range values {
		variance += (x - mean) * (x - mean)
		if i > 0 {
			covariance += (x - mean) * (values[i-1] - mean)
		}
	}
	if len(values) < 3 || variance == 0 {
		return 0
	}
	return covariance / variance
}
