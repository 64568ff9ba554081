package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"aura/app/cli"
	"aura/app/config"
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
	// MedianOn, MedianOff, and the median of the pairs' differences with its 95 % confidence interval (of ranks: no
	// distribution is assumed, and a turn that something else disturbed weighs no more than another).
	MedianOn   float64    `json:"median_on_us"`
	MedianOff  float64    `json:"median_off_us"`
	Difference float64    `json:"difference_us"`
	Interval   [2]float64 `json:"difference_95_us"`
	// Share is Difference / MedianOff.
	Share float64 `json:"share"`

	// Watched are the decisions made while monitoring was on; Samples the values that it judged.
	Watched int64 `json:"decisions_watched"`
	Samples int64 `json:"samples_seen"`

	// Detected and Mitigated are seconds from the injected latency.
	Detected  float64 `json:"fault_detected_s"`
	Mitigated float64 `json:"fault_mitigated_s"`
	Incident  string  `json:"incident"`
	// Disturbed counts incidents that opened during the measurement: healing then did more than watch.
	Disturbed int `json:"incidents_during_measurement"`
}

// benchOverhead measures what monitoring and healing cost: the program with and without their agents, each a process of its
// own whose CPU time is its own, under load by turns, so that what else happens on the machine falls on both. It ends with a
// fault that the measured loop must find.
func benchOverhead(ctx context.Context, cfg config.Config, r cli.BenchRequest) (cli.Report, error) {
	out := &overheadReport{Rate: r.Rate, Rounds: r.Rounds, Seconds: r.Duration.Seconds()}
	if err := out.describe(cfg); err != nil {
		return nil, err
	}
	on, err := startPart(ctx, cfg, r, partOn)
	if err != nil {
		return nil, err
	}
	off, err := startPart(ctx, cfg, r, partOff)
	if err != nil {
		return nil, errors.Join(err, on.end())
	}
	err = out.rounds(on, off, r)
	return out, errors.Join(err, off.end(), on.end())
}

func (o *overheadReport) rounds(on, off *part, r cli.BenchRequest) error {
	for n := range r.Rounds + 1 { // the first one warms up
		order := []*part{on, off}
		if n%2 == 1 {
			slices.Reverse(order) // who comes second finds another machine: each in turn
		}
		for _, p := range order {
			said, err := p.ask(askDrive)
			if err != nil {
				return err
			}
			if said.Failed > 0 || said.Decided == 0 {
				return fmt.Errorf("bench: %d applications were decided and %d failed", said.Decided, said.Failed)
			}
			if p == on {
				o.Watched += said.Decided
			}
			switch us := said.CPUus / float64(said.Decided); {
			case n == 0:
			case p == on:
				o.On = append(o.On, us)
			default:
				o.Off = append(o.Off, us)
			}
		}
		if n%10 == 0 {
			fmt.Fprintf(r.Streams.Err, "%d of %d rounds\n", n, r.Rounds)
		}
	}
	o.compare()
	said, err := on.ask(askSeen)
	if err != nil {
		return err
	}
	o.Features, o.Samples = said.Features, said.Values
	if want := o.Watched * int64(o.Features); o.Samples != want {
		return &NotWatched{fmt.Sprintf("it saw %d values of %d decisions of %d features", o.Samples, o.Watched, o.Features)}
	}
	if said, err = on.ask(askFault); err != nil {
		return err
	}
	o.Detected, o.Mitigated, o.Incident, o.Disturbed = said.Detected, said.Mitigated, said.Incident, said.Before
	if said.Problem != "" {
		return &NotWatched{said.Problem}
	}
	return nil
}

func (o *overheadReport) compare() {
	differences := make([]float64, len(o.On))
	for i := range o.On {
		differences[i] = o.On[i] - o.Off[i]
	}
	slices.Sort(differences)
	n := float64(len(differences))
	low := max(0, int((n-1.96*math.Sqrt(n))/2)-1)
	o.Interval = [2]float64{differences[low], differences[len(differences)-1-low]}
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

// WriteTable implements cli.Report.
func (o *overheadReport) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	o.write(t)
	fmt.Fprintf(t, "load\t%.0f/s, %d rounds of %.0f s each way, seed %d\n", o.Rate, o.Rounds, o.Seconds, o.Seed)
	fmt.Fprintf(t, "watched and healed\t%.1f us CPU a decision (median; load generator included)\n", o.MedianOn)
	fmt.Fprintf(t, "neither\t%.1f us\n", o.MedianOff)
	fmt.Fprintf(t, "difference\t%.2f us = %.1f %% (median of pairs; 95 %% interval %.2f to %.2f us)\n", o.Difference, 100*o.Share, o.Interval[0], o.Interval[1])
	fmt.Fprintf(t, "samples seen\t%d = %d decisions x %d features\n", o.Samples, o.Watched, o.Features)
	fmt.Fprintf(t, "then a fault\t%s found after %.2f s, safe mode after %.2f s\n", o.Incident, o.Detected, o.Mitigated)
	if o.Disturbed > 0 {
		fmt.Fprintf(t, "disturbed\t%d incidents during the measurement: the machine was too busy; the figures are of more than watching\n", o.Disturbed)
	}
	return t.Flush()
}
