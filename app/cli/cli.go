package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"aura/app/config"
	"aura/web/api"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Commands are the bodies of the commands that start something in this process. Each returns when it is done or when
// ctx ends; after an interrupt Run drains and returns nil, the others return ctx's error. An error with ExitCode() int
// decides the exit code.
type Commands struct {
	// Check refuses a configuration that Run would refuse, as far as that shows without starting; nil refuses none.
	Check func(c config.Config) error
	Run   func(ctx context.Context, c config.Loaded, s Streams) error
	// Migrate prepares database and topics, and says what it did.
	Migrate func(ctx context.Context, c config.Loaded, s Streams) error
	Train   func(ctx context.Context, c config.Loaded, r TrainRequest) (TrainResult, error)
	Bench   func(ctx context.Context, c config.Loaded, r BenchRequest) (Report, error)
	// Demo runs drills. Its report goes with an error whose exit code is ExitMissed where one of them did not heal.
	Demo func(ctx context.Context, c config.Loaded, r DemoRequest) (Report, error)
	// Doctor looks at each part. Its report goes with an error whose exit code is ExitUnreachable where one has failed.
	Doctor func(ctx context.Context, c config.Loaded, r DoctorRequest) (Report, error)
	// Query and VerifyAudit read the store of a configuration that no running server answers for.
	Query       func(ctx context.Context, c config.Config, sql string, limit int) (api.QueryResult, error)
	VerifyAudit func(ctx context.Context, c config.Config) (api.AuditReport, error)
	// ExportModel reads a version, or the champion for 0, from such a store.
	ExportModel func(ctx context.Context, c config.Config, version int) (api.ModelFile, error)
	// ImportModel registers a model that was trained elsewhere, and has the gate judge it.
	ImportModel func(ctx context.Context, c config.Config, r ImportRequest) (api.Imported, error)
	// RotateKey makes a new signing key for such a store.
	RotateKey func(ctx context.Context, c config.Config, by, reason string) (api.KeyRotation, error)
	// NewKey makes a file with a key, and returns the key's name.
	NewKey func(file string) (id string, err error)
}

// Main runs one command line (without the program's name) and returns the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, commands Commands) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go interrupts(signals, done, cancel, os.Exit)
	i := &invocation{Streams: Streams{stdin, stdout, stderr}, commands: commands, environ: os.Environ(), terminal: isTerminal}
	return i.execute(ctx, args)
}

// interrupts cancels at the first signal and exits at the second.
func interrupts(signals <-chan os.Signal, done <-chan struct{}, cancel func(), exit func(int)) {
	for _, act := range []func(){cancel, func() { exit(ExitInterrupted) }} {
		select {
		case <-signals:
			act()
		case <-done:
			return
		}
	}
}

// invocation is one run of the program: everything a command may depend on.
type invocation struct {
	Streams
	commands Commands
	environ  []string
	dir      string // for config.yaml; empty = the working directory
	terminal func(io.Writer) bool
	every    time.Duration // between two looks of watch; 0 = watchEvery

	args   []string
	output string   // -o
	file   string   // --config
	set    []string // --set
	warned bool     // of a configuration that is wrong where the command doesn't need it
}

func (i *invocation) execute(ctx context.Context, args []string) int {
	root := i.root()
	if args == nil {
		args = []string{} // cobra takes os.Args for nil
	}
	i.args = args
	root.SetArgs(args)
	root.SetIn(i.In)
	root.SetErr(i.Err)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	switch {
	case err == nil:
	case code == ExitInterrupted:
		fmt.Fprintln(i.Err, "aura: interrupted")
	default:
		fmt.Fprintf(i.Err, "aura: %v\n", err)
	}
	return code
}

// env looks a variable up.
func (i *invocation) env(name string) string {
	for n := len(i.environ) - 1; n >= 0; n-- {
		if e := i.environ[n]; len(e) > len(name) && e[:len(name)] == name && e[len(name)] == '=' {
			return e[len(name)+1:]
		}
	}
	return ""
}
