package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"aura/agents/fault"
	"aura/app/cli"
	"aura/app/config"
	"aura/app/drill"
	"aura/web/api"
)

// NotHealed is drills that did not heal as they should: exit code 99.
type NotHealed struct {
	Of, Runs int
	Reason   string // of the first
}

func (n *NotHealed) Error() string {
	if n.Runs == 1 {
		return "not healed: " + n.Reason
	}
	return fmt.Sprintf("%d of %d drills did not heal; the first: %s", n.Of, n.Runs, n.Reason)
}

// ExitCode is the process' exit code.
func (*NotHealed) ExitCode() int { return cli.ExitMissed }

// Demo is the body of `aura demo`: each drill in an instance of its own.
func Demo(ctx context.Context, loaded config.Loaded, r cli.DemoRequest) (cli.Report, error) {
	loaded = ownServers(loaded)
	cfg := withSeed(loaded.Config)
	if !cfg.Faults.Enabled {
		return nil, refuse("faults.enabled: false; a drill injects faults: set it to true")
	}
	list, err := drillsOf(r)
	if err != nil {
		return nil, err
	}
	d := &demo{cfg: cfg, request: r, one: len(list)*r.Seeds == 1}
	d.report = newDemoReport(loaded, cfg, r)
	err = d.all(ctx, list)
	if len(d.report.Runs) == 0 {
		return nil, err
	}
	d.report.summarize(list, cfg)
	return d.report, errors.Join(err, d.report.verdict())
}

// drillsOf are the drills asked for, as the command line changes them.
func drillsOf(r cli.DemoRequest) ([]drill.Drill, error) {
	var out []drill.Drill
	for _, name := range r.Drills {
		d, err := drill.Default(name)
		if err != nil {
			return nil, err
		}
		f, c := d.Faults[0], r.Change
		if c.Delay > 0 {
			f.Delay = c.Delay
		}
		if c.Share > 0 {
			f.Share = c.Share
		}
		if c.Target != "" {
			f.Target = c.Target
		}
		if c.Mean != nil || c.Feature != "" {
			f.Change = fault.Change{Feature: c.Feature, Mean: c.Mean, Scale: c.Scale, Shift: c.Shift, Category: c.Category}
			if f.Feature == "" {
				f.Feature = d.Faults[0].Feature
			}
		}
		switch name {
		case drill.NameLatency:
			d = drill.Latency(f.Delay, f.Share)
		case drill.NameDrift:
			d = drill.Drift(f.Change, f.Share)
		case drill.NameAgentDown:
			d = drill.Crash(f.Target)
		case drill.NameHang:
			d = drill.Hang(f.Target)
		}
		out = append(out, d)
	}
	return out, nil
}

// demo is one `aura demo` under way.
type demo struct {
	cfg     config.Config
	request cli.DemoRequest
	one     bool // a single run, told step by step

	mu     sync.Mutex
	report *demoReport
}

// all runs every drill with every seed, some at a time. The first that can't be carried out ends it.
func (d *demo) all(ctx context.Context, list []drill.Drill) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	places := make(chan struct{}, d.request.Parallel)
	var runs sync.WaitGroup
	for _, x := range list {
		for n := range d.request.Seeds {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				break
			}
			runs.Go(func() {
				defer func() { <-places }()
				if err := d.run(ctx, x, d.cfg.Seed+uint64(n)); err != nil {
					cancel(fmt.Errorf("drill %s, seed %d: %w", x.Name, d.cfg.Seed+uint64(n), err))
				}
			})
		}
	}
	runs.Wait()
	return context.Cause(ctx)
}

// run runs one drill in an instance of its own: another directory, port and seed than any server, and nothing else.
func (d *demo) run(ctx context.Context, x drill.Drill, seed uint64) (err error) {
	dir, err := os.MkdirTemp("", "aura-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if !d.request.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	log, closeLog, err := d.log(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	cfg := d.cfg
	cfg.Data.Dir, cfg.HTTP.Addr, cfg.Seed = dir, demoAddr, seed
	remove, err := scratch(ctx, &cfg)
	if err != nil {
		return err
	}
	if !d.request.Keep {
		defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
	}
	a, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(context.WithoutCancel(ctx))) }()
	if d.one {
		d.say("%s on an instance of its own: seed %d, %s, page %s/\n", x.Name, seed, a.parts.Source.describe(), a.URL())
	}
	runner := drill.Runner{System: newDrillSystem(a.parts, cfg)}
	if d.one {
		runner.Tell = d.tell
	}
	out, err := runner.Run(ctx, x)
	if err != nil {
		return err
	}
	run := demoRun{Seed: seed, Result: out}
	if run.Mirror, err = mirrored(ctx, a.parts.Mirror); err != nil {
		return err
	}
	if d.request.Keep {
		run.Data = dir
	}
	d.add(run)
	return nil
}

// mirrorWithin is how long MLflow may take to have what a drill brought about.
const mirrorWithin = 30 * time.Second

// mirrored waits until MLflow, where there is one, has the models and aliases that the drill ended with.
func mirrored(ctx context.Context, m *mirror) (*api.Mirror, error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorWithin)
	defer cancel()
	s := m.settled(ctx)
	if s != nil && !s.Equal {
		return s, fmt.Errorf("MLflow didn't follow within %s: %s", mirrorWithin, s.Problem)
	}
	return s, nil
}

// log is nowhere, or beside the data that is kept.
func (d *demo) log(dir string) (*slog.Logger, func() error, error) {
	if !d.request.Keep {
		return slog.New(slog.DiscardHandler), func() error { return nil }, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "aura.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	return newLog(d.cfg, f), f.Close, nil
}

// demoAddr is a free port on loopback.
const demoAddr = "127.0.0.1:0"

func (d *demo) add(run demoRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.Runs = append(d.report.Runs, run)
	if !d.one {
		text := run.Reason
		if at, ok := run.Durations[drill.StepVerified]; ok {
			text = strings.TrimSuffix(fmt.Sprintf("verified %.1f s after onset; %s", at, text), "; ")
		}
		fmt.Fprintf(d.request.Streams.Err, "%-10s seed %-4d %-10s %s\n", run.Drill, run.Seed, run.Outcome, text)
	}
}

// tell prints a step as it happens.
func (d *demo) tell(s drill.Step) {
	d.say("%s\n", stepLine(s))
}

// say writes to where people read: stdout, unless that is for one JSON document.
func (d *demo) say(form string, args ...any) {
	w := d.request.Streams.Out
	if d.request.JSON {
		w = d.request.Streams.Err
	}
	fmt.Fprintf(w, form, args...)
}

func stepLine(s drill.Step) string {
	text := s.Action
	if s.Text != "" {
		if text != "" {
			text += ", "
		}
		text += s.Text
	}
	return strings.TrimRight(fmt.Sprintf("%s  %+8.3fs  %-11s  %s", s.At.UTC().Format("15:04:05.000"), s.SinceOnset, s.Name, text), " ")
}
