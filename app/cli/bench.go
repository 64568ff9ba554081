package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"
)

// BenchRequest is what `aura bench` asks for beside the configuration.
type BenchRequest struct {
	// Duration of the measurement, after a warm-up that isn't counted.
	Duration time.Duration
	// Clients that each have one application under way.
	Clients int
	// Rate of applications a second; 0 means as fast as the clients go.
	Rate float64
	// HTTP drives the API over loopback instead of the pipeline in the process.
	HTTP bool
	// Keep leaves the database of the run in data.dir; otherwise it goes to a temporary directory.
	Keep bool
	// HealingOverhead measures CPU a decision with and without the agents that watch and heal, in Rounds of both, each for
	// Duration at Rate.
	HealingOverhead bool
	Rounds          int
	// Part makes this process one of the two that an overhead is measured between; Args are those of the command line.
	Part string
	Args []string
	// Streams.Err takes progress and words.
	Streams Streams
}

// Report is what a benchmark found. It is also marshalled as JSON.
type Report interface {
	// WriteTable writes it for people.
	WriteTable(w io.Writer) error
}

var benchFlags = []keyFlag{
	dataFlag,
	scratchFlag,
	{"seed", "seed", "seed of the applications; 0 = a random one, printed"},
	busFlag,
	brokersFlag,
}

func (i *invocation) benchCommand() *cobra.Command {
	var r BenchRequest
	c := &cobra.Command{
		Use: "bench", Short: "Measure throughput and latency of the whole pipeline", Args: exactly(0),
		Long: `Starts the pipeline, drives it, and shows throughput, percentiles of latency and where the time goes, with machine,
fsync time, seed and commit. Every decision that it reports is read back from the database. Exit code 99 if decisions
are missing.

With --healing-overhead it starts the pipeline twice, with and without the agents that watch and heal, puts the two under
load by turns (5,000 applications a second, a second each, unless told otherwise), and compares the CPU time a decision. It ends with a fault that the loop must
find: exit code 99 if it doesn't, or if monitoring did not see every value of every decision.`,
		Example: `  aura bench --clients 256 --duration 20s
  aura bench --http --clients 1 -o json
  aura bench --healing-overhead`,
		RunE: func(c *cobra.Command, _ []string) error {
			if r.HealingOverhead {
				r.takeOverhead(c)
			}
			switch {
			case r.HealingOverhead && r.HTTP:
				return usage("leave one of them out", "--healing-overhead with --http")
			case r.Rounds < 2 || r.Rounds > 10_000:
				return usage("take --rounds between 2 and 10000", "%d rounds", r.Rounds)
			case r.Clients < 1 || r.Clients > 10_000:
				return usage("take --clients between 1 and 10000", "%d clients", r.Clients)
			case r.Duration < 100*time.Millisecond || r.Duration > 24*time.Hour:
				return usage("take --duration between 100ms and 24h", "a duration of %s", r.Duration)
			case !(r.Rate >= 0 && r.Rate <= 1e7):
				return usage("take --rate between 0 (as fast as it goes) and 1e7", "a rate of %g", r.Rate)
			}
			loaded, err := i.load(c, benchFlags...)
			if err != nil {
				return err
			}
			r.Streams, r.Args = i.Streams, i.args
			report, err := i.commands.Bench(c.Context(), loaded, r)
			if report == nil {
				return err
			}
			return i.printReport(report, err)
		},
	}
	bind(c, benchFlags...)
	c.Flags().DurationVar(&r.Duration, "duration", 10*time.Second, "how long to measure")
	c.Flags().IntVar(&r.Clients, "clients", 256, "clients with one application each under way")
	c.Flags().Float64Var(&r.Rate, "rate", 0, "applications a second; 0 = as fast as it goes")
	c.Flags().BoolVar(&r.HTTP, "http", false, "drive the API over loopback instead of the pipeline in the process")
	c.Flags().BoolVar(&r.Keep, "keep", false, "run in the data directory and keep the database (default: a temporary one)")
	c.Flags().BoolVar(&r.HealingOverhead, "healing-overhead", false, "compare the CPU time with and without monitoring and healing")
	c.Flags().StringVar(&r.Part, "part", "", "")
	_ = c.Flags().MarkHidden("part")
	c.Flags().IntVar(&r.Rounds, "rounds", 60, "with --healing-overhead: how many times each way")
	return c
}

// takeOverhead sets what was not asked for to what an overhead is stated at.
func (r *BenchRequest) takeOverhead(c *cobra.Command) {
	if !c.Flags().Changed("rate") {
		r.Rate = 5000
	}
	if !c.Flags().Changed("duration") {
		r.Duration = time.Second
	}
}
