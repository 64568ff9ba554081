package cli

import (
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"aura/app/config"
)

func (i *invocation) root() *cobra.Command {
	root := group("aura", "Decides credit applications, and keeps doing so",
		i.runCommand(), i.migrateCommand(), i.doctorCommand(), i.trainCommand(), i.benchCommand(), i.demoCommand(),
		i.injectCommand(), i.faultCommand(), i.modeCommand(), i.agentCommand(), i.modelCommand(), i.applicationCommand(), i.feedbackCommand(),
		i.incidentCommand(), i.approvalCommand(), i.healCommand(), i.driftCommand(), i.memoryCommand(), i.scoreboardCommand(),
		i.auditCommand(), i.queryCommand(), i.keysCommand(),
		i.playbookCommand(), i.configCommand(), i.versionCommand())
	root.Long = `AURA decides credit applications online and keeps the pipeline healthy.

  aura run                          start everything on this machine and decide simulated applications
  aura demo latency                 break an instance of its own and watch it heal
  aura application show ID          look at one application and its decision
  aura mode set SAFE_MODE --reason  decide by rule, without the model
  aura incident watch               see the next incident being healed, step by step
  aura scoreboard                   how well it heals

Settings come from flags, the environment (AURA_...), ./config.yaml and defaults, in this order of precedence.
Exit codes: 0 ok, 1 error, 2 usage, 3 configuration refused, 4 timeout, 5 denied, 6 not found or not possible now,
7 server unreachable, 99 a target was missed, 130 interrupted.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return c.Help()
	}
	root.PersistentFlags().StringVarP(&i.output, "output", "o", "table", "form of the output: table or json")
	root.PersistentFlags().StringVar(&i.file, "config", "", "configuration file (default ./config.yaml if there; also AURA_CONFIG)")
	root.PersistentFlags().StringArrayVar(&i.set, "set", nil, "set a configuration key: --set key=value (may be repeated)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if args := c.Flags().Args(); c.HasSubCommands() && len(args) > 0 {
			return unknownCommand(c, args[0]) // which is why its flags aren't known either
		}
		return usage("see `"+c.CommandPath()+" --help`", "%w", err)
	})
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if i.output != "table" && i.output != "json" {
			return usage("take -o table or -o json", "unknown output %q", i.output)
		}
		return nil
	}
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetOut(i.Out) // the command for completion writes to what is set before it is made
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = cobra.ArbitraryArgs, oneOf
		}
	}
	return root
}

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.SuggestionsMinimumDistance = 2
	c.RunE = oneOf
	c.AddCommand(children...)
	return c
}

// oneOf is what a command says that was called without one of those that it holds.
func oneOf(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	var names []string
	for _, child := range c.Commands() {
		names = append(names, child.Name())
	}
	return usage("see `"+c.CommandPath()+" --help`", "%s what? one of %s", c.CommandPath(), strings.Join(names, ", "))
}

func unknownCommand(c *cobra.Command, name string) error {
	remedy := "see `" + c.CommandPath() + " --help`"
	if near := c.SuggestionsFor(name); len(near) > 0 {
		remedy = "did you mean " + strings.Join(near, " or ") + "? otherwise " + remedy
	}
	return usage(remedy, "unknown command %q for %s", name, c.CommandPath())
}

// exactly wants n arguments, named as in the command's Use.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("write `"+c.UseLine()+"`", "%s takes %d argument(s), got %d", c.CommandPath(), n, len(args))
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("write `"+c.UseLine()+"`", "%s takes %d argument(s) at most, got %d", c.CommandPath(), n, len(args))
		}
		return nil
	}
}

// keyFlag is a flag that sets a configuration key.
type keyFlag struct{ name, key, usage string }

var dataFlag = keyFlag{"data", "data.dir", "directory of database, models and the server's address"}

var mlflowFlag = keyFlag{"mlflow", "mlflow.url", "MLflow server that models are mirrored in, such as http://127.0.0.1:5000"}

// dbFlag is for commands that open the store.
var dbFlag = keyFlag{"db", "store.url", "PostgreSQL database, such as postgres://user@host:5432/database"}

// busFlag and brokersFlag are for commands that run the pipeline.
var (
	busFlag     = keyFlag{"bus", "bus.kind", "transport between agents: memory, gochannel or kafka"}
	brokersFlag = keyFlag{"brokers", "kafka.brokers", "Kafka's brokers, host:port,host:port"}
)

// bind adds flags for keys. Their values are read and judged by config, like those of every other layer.
func bind(c *cobra.Command, flags ...keyFlag) {
	texts := defaults()
	for _, f := range flags {
		if _, known := texts[f.key]; !known {
			panic("cli: flag --" + f.name + " sets the unknown key " + f.key)
		}
		c.Flags().String(f.name, "", fmt.Sprintf("%s (key %s, default %s)", f.usage, f.key, texts[f.key]))
	}
}

// defaults are the keys' default values as people write them. To judge them takes milliseconds (rules are compiled), and some
// thirty commands ask.
var defaults = sync.OnceValue(func() map[string]string {
	l, err := config.Load(config.Options{Dir: "/nonexistent"})
	if err != nil {
		panic(err) // the defaults are valid: config's tests
	}
	texts := map[string]string{}
	for _, v := range l.Values() {
		texts[v.Key] = v.Text
	}
	return texts
})

// load reads the configuration with what the command line says: --set first, then the flags of their own.
func (i *invocation) load(c *cobra.Command, flags ...keyFlag) (config.Loaded, error) {
	options := config.Options{File: i.file, Dir: i.dir, Environ: i.environ}
	if options.File == "" {
		options.File = i.env("AURA_CONFIG")
	}
	for _, s := range i.set {
		key, value, found := strings.Cut(s, "=")
		if !found {
			return config.Loaded{}, usage("write --set key=value, such as --set bus.lanes=8", "--set %s has no =", s)
		}
		options.Flags = append(options.Flags, config.Flag{Name: "--set", Key: strings.TrimSpace(key), Value: value})
	}
	for _, f := range flags {
		if flag := c.Flags().Lookup(f.name); flag.Changed {
			options.Flags = append(options.Flags, config.Flag{Name: "--" + f.name, Key: f.key, Value: flag.Value.String()})
		}
	}
	return config.Load(options)
}
