package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"aura/agents/fault"
	"aura/app/cli"
	"aura/app/config"
	"aura/healing/incident"
	"aura/store"
)

// NotWatched is an overhead measurement whose monitoring did not see everything, or found nothing: exit code 99.
type NotWatched struct{ Reason string }

func (n *NotWatched) Error() string { return "the measured monitoring was not live: " + n.Reason }

// ExitCode is the process' exit code.
func (*NotWatched) ExitCode() int { return cli.ExitMissed }

// overheadReport compares the CPU time of the same load with and without the agents that watch and heal. Times are in
// microseconds of CPU a decision, of the whole process, load generator included.
type overheadReport struct {
	benchPlace
	Rate     float64 `json:"rate"`
	Rounds   int     `json:"rounds"`
	Seconds  float64 `json:"seconds_each"`
	Features int     `json:"features"`

	On  []float64 `json:"on_us"`
	Off []float64 `json:"off_us"`
	// MedianOn, MedianOff and the difference of the pairs: its median and mean, the mean's standard error.
	MedianOn   float64 `json:"median_on_us"`
	MedianOff  float64 `json:"median_off_us"`
	Difference float64 `json:"difference_us"`
	Mean       float64 `json:"mean_difference_us"`
	StdErr     float64 `json:"standard_error_us"`
	// Share is Difference / MedianOff.
	Share float64 `json:"share"`

	// Watched are the decisions made while monitoring was on; Samples the values that it judged.
	Watched int64 `json:"decisions_watched"`
	Samples int64 `json:"samples_seen"`

	// Detected and Mitigated are seconds from the injected latency.
	Detected  float64 `json:"fault_detected_s"`
	Mitigated float64 `json:"fault_mitigated_s"`
	Incident  string  `json:"incident"`
}

// benchOverhead measures what monitoring and healing cost: the same process with and without their agents, by turns, so
// that what else happens on the machine falls on both. It ends with a fault that the measured loop must find.
func benchOverhead(ctx context.Context, cfg config.Config, r cli.BenchRequest) (cli.Report, error) {
	out := &overheadReport{Rate: r.Rate, Rounds: r.Rounds, Seconds: r.Duration.Seconds()}
	if err := out.describe(cfg); err != nil {
		return nil, err
	}
	on, off := cfg, cfg
	on.Data.Dir, off.Data.Dir = filepath.Join(cfg.Data.Dir, "on"), filepath.Join(cfg.Data.Dir, "off")
	on.Agents.Select, on.Healing.Enabled = nil, true
	off.Agents.Select, off.Healing.Enabled = append(slices.Clone(pipeline), webName), false
	for n := range r.Rounds {
		order := []config.Config{on, off}
		if n%2 == 1 {
			slices.Reverse(order) // who comes second finds a warmer machine: each in turn
		}
		for _, c := range order {
			us, err := out.turn(ctx, c, r, c.Healing.Enabled)
			if err != nil {
				return nil, err
			}
			if c.Healing.Enabled {
				out.On = append(out.On, us)
			} else {
				out.Off = append(out.Off, us)
			}
		}
		fmt.Fprintf(r.Streams.Err, "round %d of %d: on %.1f us, off %.1f us\n", n+1, r.Rounds, out.On[n], out.Off[n])
	}
	out.compare()
	if want := out.Watched * int64(out.Features); out.Samples != want {
		return out, &NotWatched{fmt.Sprintf("it saw %d values of %d decisions of %d features", out.Samples, out.Watched, out.Features)}
	}
	return out, out.catch(ctx, on, r)
}

// turn runs one process under the load and returns the CPU time a decision.
func (o *overheadReport) turn(ctx context.Context, cfg config.Config, r cli.BenchRequest, watched bool) (us float64, err error) {
	a, stop, err := startBench(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o.Features = len(a.parts.Schema.Features)
	if watched {
		if err := until(ctx, "monitoring reports", func() bool { return !a.parts.Monitoring.Report().At.IsZero() }); err != nil {
			return 0, err
		}
	}
	b := &bench{request: r, records: records(cfg.Seed), decide: a.decideHere}
	b.drive(ctx, benchWarmUp)
	warm := b.decided.Load()
	b.reset()
	usage := cpuTime()
	b.drive(ctx, r.Duration)
	n := b.decided.Load()
	us = float64((cpuTime() - usage).Nanoseconds()) / 1e3 / max(1, float64(n))
	if b.failed.Load() > 0 || n == 0 {
		return 0, fmt.Errorf("bench: %d applications were decided and %d failed", n, b.failed.Load())
	}
	if watched {
		o.Watched += warm + n
		seen := func() bool { rows, _ := a.parts.Monitoring.Seen(); return rows >= warm+n }
		if err := until(ctx, "monitoring has seen all decisions", seen); err != nil {
			return 0, &NotWatched{err.Error()}
		}
		_, values := a.parts.Monitoring.Seen()
		o.Samples += values
	}
	return us, ctx.Err()
}

func (o *overheadReport) compare() {
	differences := make([]float64, len(o.On))
	for i := range o.On {
		differences[i] = o.On[i] - o.Off[i]
		o.Mean += differences[i] / float64(len(o.On))
	}
	for _, d := range differences {
		o.StdErr += (d - o.Mean) * (d - o.Mean)
	}
	n := float64(len(differences))
	o.StdErr = math.Sqrt(o.StdErr / max(1, n-1) / n)
	o.MedianOn, o.MedianOff, o.Difference = median(o.On), median(o.Off), median(differences)
	o.Share = o.Difference / o.MedianOff
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// catch makes the model agent late under the same load and waits until the loop has found and mitigated it.
func (o *overheadReport) catch(ctx context.Context, cfg config.Config, r cli.BenchRequest) (err error) {
	a, stop, err := startBench(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := until(ctx, "monitoring reports", func() bool { return !a.parts.Monitoring.Report().At.IsZero() }); err != nil {
		return err
	}
	load, end := context.WithCancel(ctx)
	b := &bench{request: r, records: records(cfg.Seed), decide: a.decideHere}
	driven := make(chan struct{})
	go func() { defer close(driven); b.drive(load, time.Minute) }()
	defer func() { end(); <-driven }()
	onset := time.Now()
	if _, err := a.parts.Faults.Inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute}); err != nil {
		return fmt.Errorf("bench: inject a latency: %w", err)
	}
	defer a.parts.Faults.Clear()
	found := func() bool {
		rows, err := a.parts.Store.Incidents(ctx, store.IncidentFilter{}, "", 1)
		if err != nil || len(rows) == 0 {
			return false
		}
		o.Incident = rows[0].Type
		return o.Incident == incident.LatencySLOBreach
	}
	if err := until(ctx, "the injected latency is found", found); err != nil {
		return &NotWatched{err.Error()}
	}
	o.Detected = time.Since(onset).Seconds()
	if err := until(ctx, "safe mode is on", func() bool { return a.parts.View.Current().Mode == "SAFE_MODE" }); err != nil {
		return &NotWatched{err.Error()}
	}
	o.Mitigated = time.Since(onset).Seconds()
	return nil
}

// until asks again and again, for twenty seconds.
func until(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for !is() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("bench: waited in vain until %s", what)
		}
	}
	return nil
}

// WriteTable implements cli.Report.
func (o *overheadReport) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	o.write(t)
	fmt.Fprintf(t, "load\t%.0f/s, %d rounds of %.0f s each way, seed %d\n", o.Rate, o.Rounds, o.Seconds, o.Seed)
	fmt.Fprintf(t, "watched and healed\t%.1f us CPU a decision (median; load generator included)\n", o.MedianOn)
	fmt.Fprintf(t, "neither\t%.1f us\n", o.MedianOff)
	fmt.Fprintf(t, "difference\t%.2f us = %.1f %% (median of pairs; mean %.2f +- %.2f)\n", o.Difference, 100*o.Share, o.Mean, o.StdErr)
	fmt.Fprintf(t, "samples seen\t%d = %d decisions x %d features\n", o.Samples, o.Watched, o.Features)
	fmt.Fprintf(t, "then a fault\t%s found after %.2f s, safe mode after %.2f s\n", o.Incident, o.Detected, o.Mitigated)
	return t.Flush()
}

// startBench starts a process of its own directory, without a log; stop may be called once.
func startBench(ctx context.Context, cfg config.Config) (*App, func() error, error) {
	if err := os.MkdirAll(cfg.Data.Dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("bench: %w", err)
	}
	a, err := New(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	if err := a.Start(ctx); err != nil {
		return nil, nil, err
	}
	return a, func() error { return a.Stop(context.WithoutCancel(ctx)) }, nil
}
