package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aura/app/cli"
	"aura/app/config"
	"aura/app/drill"
	"aura/web/api"
)

// demoReport is what `aura demo` found. A single run stands at the top of its JSON, several under runs.
type demoReport struct {
	Build         cli.Build     `json:"build"`
	Machine       string        `json:"machine"`
	Stack         string        `json:"stack"` // what the instances ran on
	Configuration demoConfig    `json:"configuration"`
	Seed          uint64        `json:"seed"` // of the first
	Runs          []demoRun     `json:"runs"`
	Summary       []demoSummary `json:"summary"`
}

// MarshalJSON implements json.Marshaler.
func (r *demoReport) MarshalJSON() ([]byte, error) {
	if len(r.Runs) != 1 {
		type plain demoReport
		return json.Marshal((*plain)(r))
	}
	return json.Marshal(struct {
		Build         cli.Build  `json:"build"`
		Machine       string     `json:"machine"`
		Stack         string     `json:"stack"`
		Configuration demoConfig `json:"configuration"`
		*demoRun
	}{r.Build, r.Machine, r.Stack, r.Configuration, &r.Runs[0]})
}

// demoConfig is the effective configuration, as `aura config show` gives it: secrets are hidden.
type demoConfig struct {
	File  string         `json:"file,omitempty"`
	Items []config.Value `json:"items"`
}

// demoRun is one drill with one seed.
type demoRun struct {
	Seed uint64 `json:"seed"`
	Data string `json:"data,omitempty"` // the directory, where it was kept
	drill.Result
	Mirror *api.Mirror `json:"mlflow,omitempty"` // as it followed
}

// demoSummary is one drill over all seeds.
type demoSummary struct {
	Drill  string `json:"drill"`
	Healed int    `json:"healed"`
	Runs   int    `json:"runs"`
	// FirstEffective counts the runs by the first action that was executed in the expected incident and not taken back.
	FirstEffective map[string]int `json:"first_effective_actions"`
	// Needless counts actions executed in incidents beside the expected ones.
	Needless int `json:"needless_actions"`
	// Steps are from onset; the last is from the fault's end until everything was as before.
	Steps []demoQuantiles `json:"steps"`
	// TargetS is DESIGN's, for onset to verified at p95: labels' lag included.
	TargetS float64 `json:"target_s"`
	Met     bool    `json:"met"`
}

type demoQuantiles struct {
	Step string  `json:"step"`
	N    int     `json:"n"`
	P50  float64 `json:"p50_s"`
	P95  float64 `json:"p95_s"`
	Max  float64 `json:"max_s"`
}

func newDemoReport(loaded config.Loaded, cfg config.Config, r cli.DemoRequest) *demoReport {
	shown := cfg
	shown.HTTP.Addr, shown.Data.Dir = demoAddr, "(a temporary directory)"
	keys := []string{"http.addr", "data.dir"}
	if loaded.Config.Seed == 0 {
		keys = append(keys, "seed")
	}
	return &demoReport{
		Build: cli.ReadBuild(), Machine: fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		Stack: stackOf(cfg), Configuration: demoConfig{loaded.File, loaded.With(shown, "aura demo", keys...).Values()}, Seed: cfg.Seed,
	}
}

// stackOf names what an instance runs on.
func stackOf(cfg config.Config) string {
	bus, db, mirror := cfg.Bus.Kind, "SQLite", ""
	if cfg.Bus.Kind == kafkaBus {
		bus = "Kafka"
	}
	if cfg.Store.URL != "" {
		db = "PostgreSQL"
	}
	if cfg.MLflow.URL != "" {
		mirror = ", MLflow"
	}
	return bus + ", " + db + mirror
}

// verdict is an error unless every drill healed.
func (r *demoReport) verdict() error {
	n := NotHealed{Runs: len(r.Runs)}
	for _, run := range r.Runs {
		if run.Healed {
			continue
		}
		if n.Of++; n.Of == 1 {
			n.Reason = run.Reason
			if n.Runs > 1 {
				n.Reason = fmt.Sprintf("%s, seed %d: %s", run.Drill, run.Seed, run.Reason)
			}
		}
	}
	if n.Of == 0 {
		return nil
	}
	return &n
}

// demoSteps are the steps in the order in which they are shown.
var demoSteps = []string{
	drill.StepSuspected, drill.StepDetected, drill.StepProposed, drill.StepApproved, drill.StepExecuted, drill.StepVerified, drill.StepLearned,
	drill.EndedToRestored,
}

func (r *demoReport) summarize(list []drill.Drill, cfg config.Config) {
	slices.SortStableFunc(r.Runs, func(a, b demoRun) int {
		at := func(name string) int {
			return slices.IndexFunc(list, func(d drill.Drill) bool { return d.Name == name })
		}
		return cmp.Or(at(a.Drill)-at(b.Drill), cmp.Compare(a.Seed, b.Seed))
	})
	for _, d := range list {
		s := demoSummary{Drill: d.Name, FirstEffective: map[string]int{}, TargetS: d.Aim.Seconds()}
		if d.LabelLag {
			s.TargetS += cfg.Simulate.OutcomeDelay.Seconds()
		}
		took := map[string][]float64{}
		for _, run := range r.Runs {
			if run.Drill != d.Name {
				continue
			}
			s.Runs++
			if run.Healed {
				s.Healed++
			}
			if run.FirstEffective != "" {
				s.FirstEffective[run.FirstEffective]++
			}
			for _, o := range run.Others {
				s.Needless += len(o.Actions)
			}
			for step, at := range run.Durations {
				took[step] = append(took[step], at)
			}
		}
		for _, step := range demoSteps {
			if q := took[step]; len(q) > 0 {
				slices.Sort(q)
				s.Steps = append(s.Steps, demoQuantiles{step, len(q), rank(q, .5), rank(q, .95), q[len(q)-1]})
			}
			if step == drill.StepVerified {
				q := took[step]
				s.Met = s.Healed == s.Runs && len(q) == s.Runs && s.Runs > 0 && rank(q, .95) <= s.TargetS
			}
		}
		if s.Runs > 0 {
			r.Summary = append(r.Summary, s)
		}
	}
}

// rank is the nearest-rank quantile of sorted values.
func rank(sorted []float64, q float64) float64 {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// WriteTable implements cli.Report. The steps of a single run were told as they happened.
func (r *demoReport) WriteTable(w io.Writer) error {
	if len(r.Runs) == 1 {
		return r.writeRun(w, &r.Runs[0])
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "build\t%s\nmachine\t%s\nstack\t%s\nseeds\t%d from %d on\n\n", r.Build, r.Machine, r.Stack, len(r.Runs)/max(len(r.Summary), 1), r.Seed)
	fmt.Fprintln(t, "DRILL\tHEALED\tFIRST EFFECTIVE ACTION\tNEEDLESS ACTIONS")
	for _, s := range r.Summary {
		fmt.Fprintf(t, "%s\t%d of %d\t%s\t%d\n", s.Drill, s.Healed, s.Runs, s.firstEffective(), s.Needless)
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "DRILL\tFROM ONSET TO\tP50\tP95\tMAX\tTARGET P95\tN")
	for _, s := range r.Summary {
		for _, q := range s.Steps {
			target := ""
			if q.Step == drill.StepVerified {
				target = fmt.Sprintf("%.0f s: %s", s.TargetS, metOrMissed(s.Met))
			}
			fmt.Fprintf(t, "%s\t%s\t%.2f s\t%.2f s\t%.2f s\t%s\t%d\n", s.Drill, q.Step, q.P50, q.P95, q.Max, target, q.N)
		}
	}
	for _, run := range r.Runs {
		if !run.Healed {
			fmt.Fprintf(t, "%s\tseed %d: %s\t\t\t\t\t\n", run.Drill, run.Seed, run.Reason)
		}
	}
	return t.Flush()
}

// firstEffective names the actions, with how often if there are several.
func (s *demoSummary) firstEffective() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.FirstEffective)) {
		if n := s.FirstEffective[name]; n < s.Runs {
			name += fmt.Sprintf(" (%d)", n)
		}
		names = append(names, name)
	}
	return cmp.Or(strings.Join(names, ", "), "-")
}

func metOrMissed(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func (r *demoReport) writeRun(w io.Writer, run *demoRun) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nPHASE\tFOR\tDECIDED\tMEDIAN\tBY RULE\tACCURACY\tMODEL\tSIGNAL\tVALUE\tLIMIT")
	for _, p := range run.Phases {
		accuracy := "-"
		if p.Accuracy != nil {
			accuracy = fmt.Sprintf("%.3f of %d", *p.Accuracy, p.Outcomes)
		}
		median := "-"
		if p.MedianMS != nil {
			median = fmt.Sprintf("%.1f ms", *p.MedianMS)
		}
		fmt.Fprintf(t, "%s\t%s\t%d of %d\t%s\t%.0f %%\t%s\t%d\t%s\t%.3g\t%.3g\n", p.Name, p.To.Sub(p.From).Round(100*time.Millisecond), p.Decided, p.Accepted,
			median, 100*p.SafeMode, accuracy, p.Champion, p.Signal.State, p.Signal.Value, p.Signal.Threshold)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range run.notes() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// notes are what is to be said of a run beside its figures.
func (run *demoRun) notes() []string {
	out := []string{""}
	if g := run.Gate; g != nil {
		n := g.Numbers
		out = append(out, fmt.Sprintf("gate      %s: champion AUC %.3f, best candidate %.3f (gain %.3f to %.3f), on %.0f outcomes held out of %.0f",
			g.Outcome, n["champion_auc"], n["best_auc"], n["gain_low"], n["gain_high"], n["rows_held_out"], n["rows_held_out"]+n["rows_trained"]))
	}
	if v := run.Rival; v != nil && run.Drill == drill.NameAccuracy {
		out = append(out, fmt.Sprintf("fault     the model that it put in charge has an accuracy of %.3f on %d new applicants; one that is trained well %.3f",
			v.ChampionAccuracy, v.Rows, v.TrainedAccuracy))
	} else if v != nil {
		out = append(out, fmt.Sprintf("champion  AUC %.3f, accuracy %.3f on %d new applicants of the population that came; a model trained on it %.3f, %.3f",
			v.Champion, v.ChampionAccuracy, v.Rows, v.Trained, v.TrainedAccuracy))
	}
	for _, o := range run.Others {
		out = append(out, fmt.Sprintf("beside    %s %s of %s: %s, executed: %s", o.IncidentID, o.Kind, o.Target, o.State, cmp.Or(strings.Join(o.Actions, ", "), "nothing")))
	}
	if m := run.Mirror; m != nil {
		out = append(out, fmt.Sprintf("mlflow    %d versions and their aliases, as here", m.Versions))
	}
	if run.Data != "" {
		out = append(out, "data      "+run.Data)
	}
	if run.Healed {
		out = append(out, fmt.Sprintf("healed    verified %.1f s after detection (at most %.0f s), %.1f s after onset",
			run.Durations[drill.StepVerified]-run.Durations[drill.StepDetected], run.HealWithin, run.Durations[drill.StepVerified]))
	}
	return out
}
