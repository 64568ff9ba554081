package cli

import "github.com/spf13/cobra"

var runFlags = []keyFlag{
	{"http", "http.addr", "address of API and page; port 0 picks a free one"},
	dataFlag,
	dbFlag, mlflowFlag,
	{"simulate", "simulate.rate", "made-up applications a second; 0 = none"},
	{"seed", "seed", "seed of every random choice; 0 = a random one, printed"},
	busFlag,
	brokersFlag,
	{"agents", "agents.select", "agents to run here, such as model,decision; web (API and page) is a name too"},
	{"instance", "instance", "name of this process among those of a deployment"},
	{"schema", "schema.file", "schema of the applications"},
	{"source", "source.file", "CSV file to stream as applications"},
	{"rate", "source.rate", "rows of the source a second; 0 = as fast as it goes"},
	{"order", "source.order", "order of the source's rows: seeded or file"},
	{"log-level", "log.level", "debug, info, warn or error"},
}

func (i *invocation) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "Start the pipeline, the API and the page", Args: exactly(0),
		Long: `Starts everything on this machine: the agents, the API and the page, and a simulator of applications. Trains a first
model if there is none. Ctrl-C drains and ends, a second Ctrl-C ends at once.`,
		Example: `  aura run
  aura run --http 127.0.0.1:0 --data /var/lib/aura --simulate 0
  aura run --db postgres://aura_user@db.example:5432/aura_db     # the password in PGPASSWORD or ~/.pgpass
  aura run --bus=kafka --brokers 127.0.0.1:9092
  aura run --bus=kafka --db postgres://aura_user@db.example:5432/aura_db --agents=feature,model,decision --instance=decide-0
  aura run --schema taiwan.yaml --source default.csv --rate 200`,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := i.load(c, runFlags...)
			if err != nil {
				return err
			}
			for _, name := range []string{"rate", "order"} {
				if c.Flags().Changed(name) && loaded.Config.Source.File == "" {
					return usage("name the file with --source; the simulator's rate is --simulate", "--%s is of a source's rows, and there is no source", name)
				}
			}
			return i.commands.Run(c.Context(), loaded, i.Streams)
		},
	}
	bind(c, runFlags...)
	_ = c.RegisterFlagCompletionFunc("bus", cobra.FixedCompletions([]string{"memory", "gochannel", "kafka"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("order", cobra.FixedCompletions([]string{"seeded", "file"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}
