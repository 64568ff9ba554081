package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"aura/agents/fault"
	"aura/app/cli"
	"aura/app/config"
	"aura/healing/incident"
	"aura/store"
)

// An overhead is measured between two processes that do what they are asked on their standard input, a word a line, and
// answer each with a line of JSON.
const (
	partOn, partOff = "on", "off"

	askDrive = "drive" // the load, for a while
	askSeen  = "seen"  // what monitoring has judged
	askFault = "fault" // a latency, until the loop has mitigated it
)

// partAnswer is what a part says.
type partAnswer struct {
	Decided  int64   `json:"decided,omitempty"`
	Failed   int64   `json:"failed,omitempty"`
	CPUus    float64 `json:"cpu_us,omitempty"`
	Features int     `json:"features,omitempty"`
	Values   int64   `json:"values,omitempty"`

	Detected  float64 `json:"detected_s,omitempty"`
	Mitigated float64 `json:"mitigated_s,omitempty"`
	Incident  string  `json:"incident,omitempty"`
	Before    int     `json:"before,omitempty"` // incidents of the measurement itself
	Problem   string  `json:"problem,omitempty"`
}

// part is one of the two processes, as the one that measures sees it.
type part struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startPart starts this program again, with the same arguments and a directory of its own.
func startPart(ctx context.Context, cfg config.Config, r cli.BenchRequest, name string) (*part, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	args := append(slices.Clone(r.Args), "--part", name, "--keep", "--data", filepath.Join(cfg.Data.Dir, name), "--seed", fmt.Sprint(cfg.Seed))
	p := &part{name: name, cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Stderr = r.Streams.Err
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return p, nil
}

func (p *part) ask(what string) (partAnswer, error) {
	var a partAnswer
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		return a, fmt.Errorf("bench: the process %q is gone: %w", p.name, err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("bench: the process %q is gone: %w", p.name, err)
	}
	return a, json.Unmarshal(line, &a)
}

// end lets the process stop and waits for it.
func (p *part) end() error {
	err := p.in.Close()
	if waited := p.cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("bench: the process %q: %w", p.name, waited))
	}
	return err
}

// benchPart is such a process: it does what it is asked until nobody asks any more.
func benchPart(ctx context.Context, cfg config.Config, r cli.BenchRequest) (err error) {
	cfg.Agents.Select, cfg.Healing.Enabled = nil, true
	if r.Part == partOff {
		cfg.Agents.Select, cfg.Healing.Enabled = append(slices.Clone(pipeline), webName), false
	}
	a, stop, err := startBench(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if r.Part == partOn {
		if err := until(ctx, 20*time.Second, "monitoring reports", func() bool { return !a.parts.Monitoring.Report().At.IsZero() }); err != nil {
			return err
		}
	}
	m := &benchServant{App: a, request: r, records: &bench{request: r, records: records(cfg.Seed), decide: a.decideHere}}
	lines := bufio.NewScanner(r.Streams.In)
	for lines.Scan() {
		said, err := m.do(ctx, lines.Text())
		if err != nil {
			return err
		}
		if err := json.NewEncoder(r.Streams.Out).Encode(said); err != nil {
			return err
		}
	}
	return lines.Err()
}

type benchServant struct {
	*App
	request cli.BenchRequest
	records *bench
	decided int64
}

func (m *benchServant) do(ctx context.Context, what string) (partAnswer, error) {
	switch what {
	case askDrive:
		return m.drive(ctx), nil
	case askSeen:
		seen := func() bool { rows, _ := m.parts.Monitoring.Seen(); return rows >= m.decided }
		_ = until(ctx, 20*time.Second, "monitoring has seen all decisions", seen) // who asked compares
		_, values := m.parts.Monitoring.Seen()
		return partAnswer{Features: len(m.parts.Schema.Features), Values: values}, nil
	case askFault:
		var out partAnswer
		if err := m.catch(ctx, &out); err != nil {
			out.Problem = err.Error()
		}
		return out, nil
	}
	return partAnswer{}, fmt.Errorf("bench: asked for %q", what)
}

func (m *benchServant) drive(ctx context.Context) partAnswer {
	m.records.reset()
	usage := cpuTime()
	m.records.drive(ctx, m.request.Duration)
	n := m.records.decided.Load()
	m.decided += n
	return partAnswer{Decided: n, Failed: m.records.failed.Load(), CPUus: float64((cpuTime() - usage).Nanoseconds()) / 1e3}
}

// catch makes the model agent late under the same load and waits until the loop has found and mitigated it.
func (m *benchServant) catch(ctx context.Context, out *partAnswer) error {
	load, end := context.WithCancel(ctx)
	driven := make(chan struct{})
	go func() { defer close(driven); m.records.drive(load, 3*time.Minute) }()
	defer func() { end(); <-driven }()
	// A machine that was too busy may have been healed already; the fault must find it at rest. It gets there under load only:
	// without traffic nothing is shown healthy.
	if err := until(ctx, time.Minute, "nothing is open and the model decides", func() bool {
		open, err := m.parts.Store.OpenIncidents(ctx)
		return err == nil && len(open) == 0 && m.parts.View.Current().Mode == "MODEL"
	}); err != nil {
		return err
	}
	before, err := m.parts.Store.Incidents(ctx, store.IncidentFilter{}, "", maxScored)
	if err != nil {
		return err
	}
	out.Before = len(before)
	onset := time.Now()
	if _, err := m.parts.Faults.Inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute}); err != nil {
		return fmt.Errorf("bench: inject a latency: %w", err)
	}
	defer m.parts.Faults.Clear()
	found := func() bool {
		open, err := m.parts.Store.OpenIncidents(ctx)
		i := slices.IndexFunc(open, func(r store.IncidentRow) bool { return r.Type == incident.LatencySLOBreach })
		if err != nil || i < 0 {
			return false
		}
		out.Incident = open[i].Type
		return true
	}
	if err := until(ctx, 20*time.Second, "the injected latency is found", found); err != nil {
		return err
	}
	out.Detected = time.Since(onset).Seconds()
	if err := until(ctx, 20*time.Second, "safe mode is on", func() bool { return m.parts.View.Current().Mode == "SAFE_MODE" }); err != nil {
		return err
	}
	out.Mitigated = time.Since(onset).Seconds()
	return nil
}

// until asks again and again, for so long.
func until(ctx context.Context, within time.Duration, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
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
