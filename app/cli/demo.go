package cli

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aura/healing/detect"
)

// DemoRequest is what `aura demo` asks for beside the configuration.
type DemoRequest struct {
	// Drills to run, by name, in this order.
	Drills []string
	// Seeds is how many seeds each drill is run with, from the configured one on; Parallel how many run at a time.
	Seeds, Parallel int
	// Keep leaves the directories of the runs.
	Keep bool
	// Change is what differs from the drill as it ships; zero values leave it.
	Change DemoChange
	// JSON says that Out is for one document: what happens meanwhile goes to Err.
	JSON    bool
	Streams Streams
}

// DemoChange is a drill's fault as the command line changes it.
type DemoChange struct {
	Target   string
	Delay    time.Duration
	Share    float64
	Feature  string
	Mean     *float64
	Scale    float64
	Shift    float64
	Category string
}

// drills are the names that `aura demo` takes, each with the flags that mean something for it.
var drills = []struct {
	name  string
	flags []string
}{
	{"latency", []string{"delay", "share"}},
	{"accuracy", nil},
	{"drift", []string{"feature", "mean", "scale", "shift", "category", "share"}},
	{"agent-down", []string{"target"}},
	{"hang", []string{"target"}},
}

const allDrills = "all"

// Bounds of what a drill can be asked for: a fault lives that long, and no column has larger numbers.
const (
	maxDemoDelay  = 15 * time.Minute
	maxDemoNumber = 1e12
)

func drillNames() []string {
	var names []string
	for _, d := range drills {
		names = append(names, d.name)
	}
	return names
}

// scratchFlag and scratchMLflowFlag are for commands whose rows and models go when they end. They take no database and no
// MLflow server from file or environment: those have a server's.
var scratchMLflowFlag = keyFlag{"mlflow", "mlflow.url", "MLflow server to mirror the models in under a name of their own, removed at the end"}

var scratchFlag = keyFlag{"db", "store.url", "PostgreSQL database to use a schema of its own in, removed at the end"}

var demoFlags = []keyFlag{
	scratchFlag,
	busFlag,
	brokersFlag,
	scratchMLflowFlag,
	{"seed", "seed", "seed of applications, training and draws; 0 = a random one, printed"},
	{"rate", "simulate.rate", "simulated applications a second"},
}

func (i *invocation) demoCommand() *cobra.Command {
	var r DemoRequest
	var mean float64
	c := &cobra.Command{
		Use: "demo " + strings.Join(append(drillNames(), allDrills), "|"), Short: "Break an instance of its own and watch it heal", Args: exactly(1),
		ValidArgs: append(drillNames(), allDrills),
		Long: `Starts an instance with a directory and a port of its own, which differs from ` + "`aura run`" + ` in nothing else, breaks it, and
prints what happens, each step with the time since the fault's onset, as incidents, actions and memory have it. No running
server is touched; the directory is removed at the end unless --keep is given.

  latency     2 s into the model agent: safe mode, and the model back when the fault has gone
  accuracy    a really worse model is promoted: rolled back
  drift       another population applies: the gate chooses a model, a new reference is accepted, the old one restored
              when the population returns
  agent-down  the model agent panics: restarted
  hang        the model agent's handlers never return: given up and restarted

Exit code 0 only if it is verified healed within 60, 120, 300, 60 and 60 s of detection, is well under the fault, and as
before after it; else 99, also when a policy denies, healing is paused or off, or a person would be needed.
With all, or with --seeds, which runs each drill once a seed, a table shows what healed by which action, and the quantiles of
onset to each step beside their targets. On servers an instance has topics, a schema and a registered model of its own, which
are removed at the end.`,
		Example: `  aura demo latency
  aura demo drift --feature income --scale 0.5
  aura demo all --seeds 20 -o json
  aura demo all --bus kafka --brokers 127.0.0.1:9092 --db postgres://aura_user@127.0.0.1/aura_db --mlflow http://127.0.0.1:5000
  aura demo latency --set governance.profile=off     # denied: exit code 99`,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("mean") {
				r.Change.Mean = &mean
			}
			if err := r.check(c, args[0]); err != nil {
				return err
			}
			loaded, err := i.load(c, demoFlags...)
			if err != nil {
				return err
			}
			r.Streams, r.JSON = i.Streams, i.output == "json"
			report, err := i.commands.Demo(c.Context(), loaded, r)
			if report == nil {
				return err
			}
			return i.printReport(report, err)
		},
	}
	bind(c, demoFlags...)
	f := c.Flags()
	f.IntVar(&r.Seeds, "seeds", 1, "run each drill with so many seeds, from --seed on")
	f.IntVar(&r.Parallel, "parallel", 1, "instances at a time; they share the machine, and its figures")
	f.BoolVar(&r.Keep, "keep", false, "keep the directories, each with its log, and say where they are")
	f.DurationVar(&r.Change.Delay, "delay", 0, "latency: added to each event of the model agent (default 2s)")
	f.Float64Var(&r.Change.Share, "share", 0, "latency, drift: share of the events or applications that are hit (default 1)")
	f.StringVar(&r.Change.Target, "target", "", "agent-down, hang: the agent of the pipeline (default model)")
	f.StringVar(&r.Change.Feature, "feature", "", "drift: the column (default credit_score)")
	f.Float64Var(&mean, "mean", 0, "drift: the mean to bring the column to (default 550)")
	f.Float64Var(&r.Change.Scale, "scale", 0, "drift: what the column is multiplied by")
	f.Float64Var(&r.Change.Shift, "shift", 0, "drift: added to the column")
	f.StringVar(&r.Change.Category, "category", "", "drift: the category that a --share of applications comes from")
	return c
}

// check refuses what no drill is, and flags that the drill has no use for.
func (r *DemoRequest) check(c *cobra.Command, name string) error {
	at := slices.IndexFunc(drills, func(d struct {
		name  string
		flags []string
	},
	) bool {
		return d.name == name
	})
	var own []string
	switch {
	case name == allDrills:
		r.Drills = drillNames()
	case at < 0:
		return usage("take one of "+strings.Join(append(drillNames(), allDrills), ", "), "there is no drill %q", name)
	default:
		r.Drills, own = []string{name}, drills[at].flags
	}
	for _, d := range drills {
		for _, flag := range d.flags {
			if c.Flags().Changed(flag) && !slices.Contains(own, flag) {
				return usage("see `aura demo --help`", "--%s means nothing for %s", flag, name)
			}
		}
	}
	x := r.Change
	rate, _ := strconv.ParseFloat(c.Flags().Lookup("rate").Value.String(), 64) // no number is refused with the configuration
	moves := x.Mean != nil || x.Scale != 0 || x.Shift != 0 || x.Category != ""
	switch {
	case r.Seeds < 1 || r.Seeds > 10_000:
		return usage("take --seeds between 1 and 10000", "%d seeds", r.Seeds)
	case r.Parallel < 1 || r.Parallel > 64:
		return usage("take --parallel between 1 and 64", "%d at a time", r.Parallel)
	case c.Flags().Changed("share") && !(x.Share > 0 && x.Share <= 1):
		return usage("take a --share above 0, up to 1", "a share of %g", x.Share)
	case c.Flags().Changed("delay") && (x.Delay <= 0 || x.Delay > maxDemoDelay):
		return usage("take a --delay such as 2s, up to 15m", "--delay %s", x.Delay)
	case x.Target != "" && !slices.Contains(detect.DefaultPath, x.Target):
		return usage("take one of "+strings.Join(detect.DefaultPath, ", "), "--target %s is no agent of the pipeline", x.Target)
	case c.Flags().Changed("rate") && !(rate > 0):
		return usage("take a --rate above 0: without applications nothing is seen", "--rate %s", c.Flags().Lookup("rate").Value)
	case x.Mean != nil && !(math.Abs(*x.Mean) <= maxDemoNumber) || !(math.Abs(x.Scale) <= maxDemoNumber && math.Abs(x.Shift) <= maxDemoNumber):
		return usage("take numbers that a column can have, up to 1e12", "--mean, --scale or --shift is beyond any column")
	case x.Feature != "" && !moves:
		return usage("say how it moves: --mean, --scale, --shift or --category", "--feature alone")
	case x.Feature == "" && moves && x.Mean == nil:
		return usage("name the column with --feature", "which column moves?")
	}
	return nil
}
