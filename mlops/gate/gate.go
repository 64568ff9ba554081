// Package gate retrains: it fits candidates on windows of stored applications whose outcome is known, and one gate judges
// them against the champion. That the champion is kept is a result like a promotion, with its numbers.
//
// It owns the windows (Retrain), the checks and their limits (Limits), and the verdict. It imports
// mlops/{train,forest,registry,schema,dataset}. It knows no store, no clock and no incident: rows, the cut and what
// monitoring says about the feed are arguments. It promotes nothing: PROMOTE_MODEL is an action of its own.
//
// The newest rows by acceptance are the hold-out. No candidate was trained on one of them, and the candidate that is handed
// back is the very model that was judged: it is not fitted again with them. Bounds are one-sided at 95 %, shared by
// all candidates (Bonferroni), because the best of several is chosen on the same rows. That the champion is as good is claimed at
// 99 %: while outcomes come in it is asked again and again, and the first lucky sample would end it.
//
// Retrain blocks for the time of its fits (a second for 5,000 rows) and uses Options.Workers goroutines, which have ended
// when it returns. Same input, same verdict, to the bit. Tests use mlops/synth, whose true probabilities are known.
package gate

import (
	"time"

	"aura/mlops/registry"
	"aura/mlops/schema"
)

// LabelledRow is a stored application whose outcome is known.
type LabelledRow struct {
	Values     schema.Vector // all columns, as schema.Encode gives them
	Bad        bool          // it defaulted
	AcceptedAt time.Time
	ObservedAt time.Time // when the outcome became known
	// Probability of default as it was decided on; NaN where rules decided.
	Probability float64
}

// Bug is a broken feed that monitoring has named, such as a unit error or a stuck value.
type Bug struct{ Feature, Text string }

// Options of a retraining. The zero value is usable.
type Options struct {
	Seed    uint64
	Trees   int // default 100
	Depth   int // default 10
	Workers int // default GOMAXPROCS; never changes the result
	// Cut leaves out rows whose outcome was observed at or after it; the zero time leaves out none.
	Cut time.Time
	// Floor is the accuracy (p >= 0.5 against the outcome) below which the champion counts as failing; default
	// min(0.80, its validated accuracy - 0.05).
	Floor float64
	// Bugs in the feed: with one, nothing is trained.
	Bugs   []Bug
	Limits Limits
}

// Limits of the gate. Zero values mean the defaults (reference, ml.md section 5).
type Limits struct {
	MinRows int // labelled rows; default 500
	MinEach int // of each outcome; default 50
	MaxRows int // newest labelled rows that are used; default 20,000
	// HoldoutShare of the rows, newest first, is judged on, 150 rows at least; default 0.3.
	HoldoutShare float64
	NotWorse     float64 // AUC; the lower bound of challenger - champion must lie above minus this; default 0.01
	// Lost is the most AUC that may be lost, instead of NotWorse, where the champion is below its floor and the candidate surely
	// gains twice as much accuracy; default 0.05.
	Lost       float64
	Brier      float64 // relative; default 0.02
	SlopeLow   float64 // of the calibration; default 0.85
	SlopeHigh  float64 // default 1.15
	ECE        float64 // relative; default 0.10
	Segment    float64 // AUC a segment may lose; default 0.02
	Forgetting float64 // AUC the original population may lose; default 0.02
	ScorePSI   float64 // champion against challenger; default 0.10
	AIR        float64 // adverse impact ratio; default 0.80, or not down by more than AIRDrop
	AIRDrop    float64 // default 0.02
	Kept       float64 // AUC: the champion is as good if no candidate can be better by this, at 99 %; default 0.02
	// KeptRows are the labelled rows without which neither that is said nor, while a candidate ranks them better, that outcomes are
	// wrong: candidates of fewer are too weak to challenge, or to explain a new world; default 1,000.
	KeptRows    int
	Unexplained float64 // accuracy or AUC that outcomes may lack of what the champion expects; default 0.05
	Steps       int     // trees x depth, the most nodes a score visits (10 ns each); default 5,000
}

// Code says in one word how a retraining ended.
type Code string

// The codes. Promote and Kept are successes. The others call a person, or wait for more outcomes (TooFew, Undecided).
const (
	Promote    Code = "PROMOTE"
	Kept       Code = "CHAMPION_KEPT"
	TooFew     Code = "TOO_FEW_OUTCOMES"
	BrokenFeed Code = "BROKEN_FEED"
	Labels     Code = "OUTCOMES_NOT_CREDIBLE"
	Leak       Code = "LABEL_LEAK"
	Undecided  Code = "UNDECIDED" // the champion is not shown to be as good, and no candidate passes
)

// Check is one line of the gate.
type Check struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	OK    bool    `json:"ok"`
	// Info says why a check that isn't OK doesn't decide here; "" for one that does.
	Info string `json:"info,omitempty"`
}

// Verdict of a retraining.
type Verdict struct {
	Code         Code   `json:"code"`
	Promote      bool   `json:"promote"`
	KeepChampion bool   `json:"keep_champion"`
	Reason       string `json:"reason"`
	// NeedRows is about how many labelled rows would settle an Undecided, or make Labels sure, that is open for lack of them; else 0.
	NeedRows int     `json:"need_rows,omitempty"`
	Checks   []Check `json:"checks"` // of the data, then of the candidate that is named in Outcome.Best
}

// Figures of a model on rows it was not trained on. NaN figures don't occur: what can't be measured is 0 of Rows 0.
type Figures struct {
	Rows     int     `json:"rows"`
	AUC      float64 `json:"auc"`
	Brier    float64 `json:"brier"`
	Accuracy float64 `json:"accuracy"` // p >= 0.5 against the outcome
	Slope    float64 `json:"slope"`    // of the calibration: 1 is right, below 1 the scores are too sure
	ECE      float64 `json:"ece"`      // expected calibration error, 10 bins of equal size
}

// Score is one model in the contest.
type Score struct {
	Name    string  `json:"name"` // champion, window, old+window, old x 0.1 + window
	Rows    int     `json:"rows"` // it was trained on (candidates)
	Holdout Figures `json:"holdout"`
	Golden  Figures `json:"golden"` // on rows of the original population that no candidate was trained on
	// Gain is AUC over the champion's on the hold-out. GainLow is a lower bound that holds for all candidates at once,
	// GainHigh an upper one for this candidate.
	Gain     float64 `json:"gain"`
	GainLow  float64 `json:"gain_low"`
	GainHigh float64 `json:"gain_high"`
	Digest   string  `json:"digest"`
	Checks   []Check `json:"checks,omitempty"`
}

// Outcome of a retraining.
type Outcome struct {
	// Candidate is the model that passed, nil if none did. Its metrics are those of the hold-out.
	Candidate *registry.Model `json:"-"`
	Verdict   Verdict         `json:"verdict"`
	Best      string          `json:"best,omitempty"` // the candidate that Verdict.Checks are about
	Champion  Score           `json:"champion"`
	Scores    []Score         `json:"scores"` // the candidates
	// Floor is the accuracy below which the champion counts as failing.
	Floor float64 `json:"floor"`
	// Trained and Held are the windows by acceptance.
	Trained registry.Window `json:"trained"`
	Held    registry.Window `json:"held"`
}

// Failed are the checks that decide and that the candidate named in Best fails; none where no candidate was made.
func (o *Outcome) Failed() []Check {
	for _, s := range o.Scores {
		if s.Name == o.Best {
			return failed(s.Checks)
		}
	}
	return nil
}

func failed(checks []Check) (out []Check) {
	for _, c := range checks {
		if !c.OK && c.Info == "" {
			out = append(out, c)
		}
	}
	return out
}

// DefaultLimits are the limits that apply where nothing else is said.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	set := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	count := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	count(&l.MinRows, 500)
	count(&l.MinEach, 50)
	count(&l.MaxRows, 20_000)
	count(&l.Steps, 5000)
	count(&l.KeptRows, 1000)
	set(&l.HoldoutShare, 0.3)
	set(&l.NotWorse, 0.01)
	set(&l.Lost, 0.05)
	set(&l.Brier, 0.02)
	set(&l.SlopeLow, 0.85)
	set(&l.SlopeHigh, 1.15)
	set(&l.ECE, 0.10)
	set(&l.Segment, 0.02)
	set(&l.Forgetting, 0.02)
	set(&l.ScorePSI, 0.10)
	set(&l.AIR, 0.80)
	set(&l.AIRDrop, 0.02)
	set(&l.Kept, 0.02)
	set(&l.Unexplained, 0.05)
	return l
}
