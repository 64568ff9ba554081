package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"aura/agents"
	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/schema"
	"aura/mlops/synth"
	"aura/store"
)

// MissingDecisions is a benchmark whose figures can't be believed: exit code 99.
type MissingDecisions struct{ Reported, Stored int64 }

func (m *MissingDecisions) Error() string {
	return fmt.Sprintf("%d decisions were reported and %d are in the database", m.Reported, m.Stored)
}

// ExitCode is the process' exit code.
func (*MissingDecisions) ExitCode() int { return cli.ExitMissed }

// benchPlace says where and with what something was measured.
type benchPlace struct {
	Machine struct {
		CPUs     int     `json:"cpus"`
		Platform string  `json:"platform"`
		Go       string  `json:"go"`
		FsyncMS  float64 `json:"fsync_p50_ms"`
		FsyncP99 float64 `json:"fsync_p99_ms"`
	} `json:"machine"`
	Build cli.Build `json:"build"`
	Seed  uint64    `json:"seed"`
	Bus   string    `json:"bus"`
}

func (p *benchPlace) describe(cfg config.Config) (err error) {
	p.Build, p.Seed, p.Bus = cli.ReadBuild(), cfg.Seed, cfg.Bus.Kind
	p.Machine.CPUs, p.Machine.Platform, p.Machine.Go = runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH, runtime.Version()
	p.Machine.FsyncMS, p.Machine.FsyncP99, err = fsyncTimes(cfg.Data.Dir)
	return err
}

func (p *benchPlace) write(w io.Writer) {
	fmt.Fprintf(w, "machine\t%d CPUs, %s, %s, fsync p50 %.2f ms p99 %.2f ms\n", p.Machine.CPUs, p.Machine.Platform, p.Machine.Go, p.Machine.FsyncMS, p.Machine.FsyncP99)
	fmt.Fprintf(w, "build\t%s\n", p.Build)
}

// benchReport is what one benchmark found. Durations are in milliseconds.
type benchReport struct {
	benchPlace
	Via     string  `json:"via"`
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate,omitempty"`

	Seconds   float64 `json:"seconds"`
	Decisions int64   `json:"decisions"`
	Stored    int64   `json:"stored"`
	Errors    int64   `json:"errors"`
	PerSecond float64 `json:"per_second"`
	CPUus     float64 `json:"cpu_us_per_decision"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p99_9_ms"`
	Max       float64 `json:"max_ms"`

	Agents []benchAgent `json:"agents"`
	Store  struct {
		Transactions int64   `json:"transactions"`
		RowsPerTx    float64 `json:"rows_per_transaction"`
		LastTxMS     float64 `json:"last_transaction_ms"`
		LastCommitMS float64 `json:"last_commit_ms"`
	} `json:"store"`
}

type benchAgent struct {
	Name    string  `json:"name"`
	Handled int64   `json:"handled"`
	P50MS   float64 `json:"p50_ms"`
	P99MS   float64 `json:"p99_ms"`
	Queue   int     `json:"queue"`
}

const benchWarmUp = time.Second

// Bench is the body of `aura bench`: the whole process, driven by clients, every decision read back.
func Bench(ctx context.Context, loaded config.Loaded, r cli.BenchRequest) (report cli.Report, err error) {
	cfg := withSeed(ownServers(loaded).Config)
	cfg.Simulate.Rate, cfg.Source.File, cfg.HTTP.Addr = 0, "", "127.0.0.1:0"
	if !r.Keep {
		dir, err := os.MkdirTemp("", "aura-bench-")
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cfg.Data.Dir = dir
	}
	// Each part of a comparison makes its own.
	if r.Part != "" || !r.HealingOverhead {
		remove, failed := scratch(ctx, &cfg)
		if failed != nil {
			return nil, failed
		}
		if !r.Keep || r.Part != "" {
			defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
		}
	}
	switch {
	case r.HealingOverhead && r.Part != "":
		return nil, benchPart(ctx, cfg, r)
	case r.HealingOverhead:
		return benchOverhead(ctx, cfg, r)
	}
	a, stop, err := startBench(ctx, cfg)
	if err != nil {
		return nil, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, stop())
		}
	}()
	out := &benchReport{Clients: r.Clients, Rate: r.Rate, Via: "process"}
	if err := out.benchPlace.describe(cfg); err != nil {
		return nil, err
	}
	before, err := a.parts.Store.Counts(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{request: r, records: records(cfg.Seed), decide: a.decideHere}
	if r.HTTP {
		out.Via, b.decide = "http", httpDecider(a.URL(), cfg.HTTP.Token, r.Clients)
	}
	fmt.Fprintf(r.Streams.Err, "warming up %s, then measuring %s with %d clients ...\n", benchWarmUp, r.Duration, r.Clients)
	b.drive(ctx, benchWarmUp)
	warm := b.decided.Load()
	b.reset()
	usage, tx := cpuTime(), a.parts.Store.Stats()
	began := time.Now()
	b.drive(ctx, r.Duration)
	out.Seconds = time.Since(began).Seconds()
	out.Decisions, out.Errors = b.decided.Load(), b.failed.Load()
	out.CPUus = float64((cpuTime() - usage).Microseconds()) / max(1, float64(out.Decisions))
	out.fill(b, a.parts.Supervisor.Statuses(), tx, a.parts.Store.Stats())
	counts, err := a.parts.Store.Counts(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	out.Stored = counts.Decisions - before.Decisions - warm
	stopped = true
	if err := stop(); err != nil {
		return out, err
	}
	if out.Stored < out.Decisions {
		return out, &MissingDecisions{out.Decisions, out.Stored}
	}
	return out, ctx.Err()
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

func (b *benchReport) fill(run *bench, statuses []agents.Status, before, after store.Stats) {
	b.PerSecond = float64(b.Decisions) / b.Seconds
	l := run.sorted()
	b.P50, b.P90, b.P99, b.P999, b.Max = quantile(l, .5), quantile(l, .9), quantile(l, .99), quantile(l, .999), quantile(l, 1)
	for _, s := range statuses {
		b.Agents = append(b.Agents, benchAgent{s.Agent, s.Handled, millis(s.P50), millis(s.P99), s.Queue})
	}
	b.Store.Transactions = after.Transactions - before.Transactions
	rows := after.Accepted + after.Decided - before.Accepted - before.Decided
	b.Store.RowsPerTx = float64(rows) / max(1, float64(b.Store.Transactions))
	b.Store.LastTxMS, b.Store.LastCommitMS = millis(after.LastTx), millis(after.LastCommit)
}

// WriteTable implements cli.Report.
func (b *benchReport) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	b.write(t)
	fmt.Fprintf(t, "load\t%d clients via %s, bus %s, rate %s, seed %d\n", b.Clients, b.Via, b.Bus, rate(b.Rate), b.Seed)
	fmt.Fprintf(t, "decisions\t%d in %.1f s, %d read back, %d errors\n", b.Decisions, b.Seconds, b.Stored, b.Errors)
	fmt.Fprintf(t, "throughput\t%.0f/s, %.0f us CPU each (load generator included)\n", b.PerSecond, b.CPUus)
	fmt.Fprintf(t, "latency\tp50 %.2f ms, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f\n", b.P50, b.P90, b.P99, b.P999, b.Max)
	fmt.Fprintf(t, "store\t%d transactions of %.1f rows, last %.2f ms of which commit %.2f ms\n", b.Store.Transactions, b.Store.RowsPerTx, b.Store.LastTxMS, b.Store.LastCommitMS)
	for _, a := range b.Agents {
		fmt.Fprintf(t, "agent %s\t%d events, handling p50 %.3f ms p99 %.3f ms, %d waiting\n", a.Name, a.Handled, a.P50MS, a.P99MS, a.Queue)
	}
	return t.Flush()
}

// bench is the clients of one measurement.
type bench struct {
	request cli.BenchRequest
	records []schema.Record
	decide  func(context.Context, schema.Record) error

	decided, failed, slots atomic.Int64
	mu                     sync.Mutex
	latencies              []time.Duration
}

func (b *bench) reset() {
	b.decided.Store(0)
	b.failed.Store(0)
	b.slots.Store(0)
	b.latencies = nil
}

// drive runs the clients for a while. With a rate, arrivals keep to their schedule whatever happened before, and
// latency counts from the scheduled time, so that a stall is felt by everyone who came during it.
func (b *bench) drive(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	began := time.Now()
	var clients sync.WaitGroup
	for c := range b.request.Clients {
		clients.Go(func() {
			var own []time.Duration
			for n := c; ctx.Err() == nil; n++ {
				from := b.arrival(ctx, began)
				if ctx.Err() != nil {
					break
				}
				// What has begun is finished, so that every application is counted or an error.
				if err := b.decide(context.WithoutCancel(ctx), b.records[n%len(b.records)]); err != nil {
					b.failed.Add(1)
					continue
				}
				b.decided.Add(1)
				own = append(own, time.Since(from))
			}
			b.mu.Lock()
			b.latencies = append(b.latencies, own...)
			b.mu.Unlock()
		})
	}
	clients.Wait()
}

// arrival waits for the next scheduled arrival and returns its time.
func (b *bench) arrival(ctx context.Context, began time.Time) time.Time {
	if b.request.Rate == 0 {
		return time.Now()
	}
	n := b.slots.Add(1) - 1
	at := began.Add(time.Duration(float64(n) / b.request.Rate * float64(time.Second)))
	if wait := time.Until(at); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return at
}

func (b *bench) sorted() []time.Duration {
	slices.Sort(b.latencies)
	return b.latencies
}

func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return millis(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
}

// records are made before the measurement, so that making them is no part of it.
func records(seed uint64) []schema.Record {
	g := synth.New(simulatorSeed(seed))
	out := make([]schema.Record, 4096)
	for i := range out {
		out[i], _ = g.Next()
	}
	return out
}
