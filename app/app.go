// Package app is the composition root: it makes the parts, wires them with fx, starts and stops them in order.
//
// modules.go holds the one list of everything that runs. The backend_*.go files adapt the parts to what web asks for.
// It may import everything of ours; nothing of ours but main imports it. Only this package knows fx. An App can run
// inside a test: New, Start, URL, Stop, with a directory of its own and port 0.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/fx"

	"aura/agents/tracing"
	"aura/app/cli"
	"aura/app/config"
)

// Refused is a process that can't do what it was asked to, with the remedy; its exit code is 3.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

// ExitCode is the process' exit code.
func (*Refused) ExitCode() int { return config.ExitCode }

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// App is one process of AURA.
type App struct {
	cfg       config.Config
	log       *slog.Logger
	parts     parts
	steps     []Step
	lifecycle Lifecycle
}

// New makes every part and starts none: the address is taken, the store opened. On an error everything is closed again.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	return newApp(ctx, cfg, log)
}

// newApp is New with what a test puts in the place of a part: its clock, a bus that fails.
func newApp(ctx context.Context, cfg config.Config, log *slog.Logger, instead ...fx.Option) (*App, error) {
	if err := Check(cfg); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: log, lifecycle: Lifecycle{log: log}}
	front, err := listen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	opened := &closers{}
	opened.add(front.close)
	err = fx.New(
		fx.NopLogger,
		fx.Supply(cfg, log, opened, front),
		fx.Supply(fx.Annotate(ctx, fx.As(new(context.Context)))),
		fx.Supply(clock(now)),
		provide(),
		fx.Options(instead...),
		fx.Populate(&a.parts),
	).Err()
	if err != nil {
		return nil, errors.Join(rootCause(err), opened.close(ctx))
	}
	a.steps = everything(cfg, log, a.parts)
	return a, nil
}

// Start starts everything in order and returns; on an error nothing runs any more.
func (a *App) Start(ctx context.Context) error { return a.lifecycle.Start(ctx, a.steps) }

// Stop drains and stops everything within the configured time.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Shutdown.Timeout)
	defer cancel()
	return a.lifecycle.Stop(ctx)
}

// URL is where it is served, "" before the start and where nothing is.
func (a *App) URL() string {
	if a.parts.Server == nil || a.parts.Server.Addr() == "" {
		return ""
	}
	return "http://" + a.parts.Server.Addr()
}

// Run is the body of `aura run`: it starts everything, says where it is, and drains when ctx ends.
func Run(ctx context.Context, loaded config.Loaded, streams cli.Streams) error {
	began, cfg, out := time.Now(), withSeed(loaded.Config), streams.Out
	log := newLog(cfg, streams.Err)
	a, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	a.parts.Healer.rereadBy(func() (config.Config, error) {
		again, err := loaded.Again()
		if again.Config.Seed == 0 {
			again.Config.Seed = cfg.Seed // the random one that was picked
		}
		return again.Config, err
	})
	defer a.parts.Healer.followHangups(ctx)()
	if err := a.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	a.greet(out, time.Since(began))
	var failed <-chan error
	if a.parts.Server != nil {
		failed = a.parts.Server.Failed()
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "stopping: what is accepted is decided first (interrupt again to stop at once)")
		return a.Stop(context.WithoutCancel(ctx))
	case err := <-failed:
		return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
	}
}

func (a *App) greet(out io.Writer, took time.Duration) {
	fmt.Fprintf(out, "AURA is running (started in %s, seed %d, data in %s)\n", took.Round(time.Millisecond), a.cfg.Seed, a.cfg.Data.Dir)
	if selected(a.cfg, webName) {
		fmt.Fprintf(out, "  page  %s/\n  API   %s/api/v1/applications   (OpenAPI: %s/openapi.json)\n", a.URL(), a.URL(), a.URL())
	} else if a.URL() != "" {
		fmt.Fprintf(out, "  health  %s/readyz   metrics  %s/metrics\n", a.URL(), a.URL())
	}
	if len(a.cfg.Agents.Select) > 0 {
		fmt.Fprintf(out, "  instance %s runs %s\n", a.parts.Instance, strings.Join(here(a.cfg), ", "))
	}
	fmt.Fprintf(out, "  model version %d decides by schema %q; source: %s\n",
		a.parts.View.Current().Champion, a.parts.Schema.Name, a.parts.Source.describe())
}

// withSeed picks a seed where none is wanted; whoever starts something prints it.
func withSeed(cfg config.Config) config.Config {
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	return cfg
}

// Version of the program.
func Version() string { return cli.ReadBuild().Version }

func newLog(cfg config.Config, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // config has checked it
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(tracing.LogHandler(slog.NewJSONHandler(out, o)))
	}
	return slog.New(tracing.LogHandler(slog.NewTextHandler(out, o)))
}

// addrFile is where a process leaves its address for the other commands.
func addrFile(dir string) string { return filepath.Join(dir, cli.AddressFile) }

func writeAddr(dir, addr string) error {
	tmp := addrFile(dir) + ".tmp"
	if err := os.WriteFile(tmp, []byte(addr+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the address: %w", err)
	}
	if err := os.Rename(tmp, addrFile(dir)); err != nil {
		return fmt.Errorf("write the address: %w", err)
	}
	return nil
}
