package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/fault"
	"aura/agents/feature"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/agents/monitoring"
	"aura/agents/reference"
	"aura/app/config"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
	"aura/web"
)

// webName selects the API and the page in --agents. Without it a process answers only what is asked of itself: health,
// metrics, its agents and its faults.
const webName = "web"

// pipeline names the agents that a bus inside one process can't do without, in the order of an application's way.
var pipeline = []string{ingestion.Name, feature.Name, model.Name, decision.Name}

// Check refuses a configuration that can't be run, as far as that shows without starting anything.
func Check(cfg config.Config) error { return checkSelection(cfg) }

// checkSelection refuses a set of agents that can't decide anything: what is left out must be done by another process, which
// needs a bus and a database that both can reach.
func checkSelection(cfg config.Config) error {
	if len(cfg.Agents.Select) == 0 {
		return nil
	}
	for _, name := range cfg.Agents.Select {
		if name != webName && !slices.Contains(pipeline, name) && !slices.Contains(controlNames, name) {
			return refuse("agents.select: there is no agent %q; choose from %s, %s, %s",
				name, strings.Join(pipeline, ", "), strings.Join(controlNames, ", "), webName)
		}
	}
	if shared(cfg) {
		if cfg.Source.File != "" && !selected(cfg, ingestion.Name) {
			return refuse("source.file: its rows are taken in by the ingestion agent, which agents.select leaves out; add ingestion, or name the file where it runs")
		}
		return nil
	}
	var missing []string
	for _, name := range pipeline {
		if !selected(cfg, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	why := "on the " + cfg.Bus.Kind + " bus every agent of the pipeline must run in this process"
	if cfg.Bus.Kind == kafkaBus {
		why = "other processes can't reach the database of this data directory (give a server's with --db)"
	}
	return refuse("agents.select: %s; missing: %s (add them, or leave agents.select empty)", why, strings.Join(missing, ", "))
}

// shared tells whether other processes can be part of this deployment: bus and database are on servers.
func shared(cfg config.Config) bool { return cfg.Bus.Kind == kafkaBus && cfg.Store.URL != "" }

func selected(cfg config.Config, name string) bool {
	return len(cfg.Agents.Select) == 0 || slices.Contains(cfg.Agents.Select, name)
}

// provide lists the constructors. fx calls them in the order of their needs.
func provide() fx.Option {
	return fx.Provide(
		loadSchema, loadUserData, storeOptions, openStore, newInstance, newLeaders, newTransport, newObjective, newTelemetry, newSpanExporter, newTracer, newRegistry, newFirstModel,
		newView, newChampion, newReference, newShadow, newModels, newMirror, newBadModel, newFaults, newWindow, newIntake, newTopics, newHolders, newSweeper,
		newTechnical, newMonitoring, newControl, newFleet, newHealer, newSupervisor, newHub, newServer, newSource,
	)
}

// parts is everything that runs or is asked for by name.
type parts struct {
	fx.In

	Door       *door
	Schema     *schema.Schema
	Store      *store.Store
	Transport  bus.Transport
	Telemetry  *telemetry
	Spans      spansFlushed
	Objective  *objective
	Registry   *registry.Registry
	FirstModel *firstModel
	View       *desired.View
	Champion   *model.Champion
	Reference  *reference.Holder
	Faults     *fault.Registry
	Window     *ingestion.Window
	Intake     *ingestion.Intake
	Topics     *ingestion.Topics `optional:"true"`
	Sweeper    *ingestion.Sweeper
	Supervisor *agents.Supervisor
	Monitoring *monitoring.Monitoring
	Healer     *healer
	Control    *control
	Fleet      *fleet
	Hub        *web.Hub
	Mirror     *mirror
	Server     *web.Server `optional:"true"`
	Source     *source
	Now        clock
	Instance   instance
	Leaders    *leaders
}

// everything is the one list of what runs, in the order of its start; it is stopped in reverse, so that what is
// accepted is decided before the agents stop, and written before the store closes.
func everything(cfg config.Config, log *slog.Logger, p parts) []Step {
	health, lives, stopped := p.Fleet.steps()
	var listener, outcomes, sweeper, drain, left Step // of what this process takes in
	if selected(cfg, ingestion.Name) {
		drain, left = p.drain(cfg, log)
		listener, outcomes, sweeper = loop("decision listener", p.listen(log)), loop("outcomes", p.announceOutcomes(log)), loop("sweeper", p.Sweeper.Run)
	}
	return slices.DeleteFunc([]Step{
		{Name: "address", Stop: p.Door.close},
		p.Spans.step(),
		{Name: "store", Stop: p.Store.Close},
		p.Leaders.step(),
		{Name: "bus", Stop: func(context.Context) error { return p.Transport.Close() }},
		{Name: "intake", Stop: func(context.Context) error { return p.Intake.Close() }},
		{Name: "first model", Start: p.FirstModel.ensure},
		{Name: "champion", Start: p.followChampion},
		loop("desired state", func(ctx context.Context) { p.View.Run(ctx, cfg.Desired.Poll) }),
		loop("champion watch", every(cfg.Desired.Poll, func(ctx context.Context) {
			p.Champion.Follow(ctx)
			p.Reference.Follow(ctx)
			p.Healer.followKey()
		})),
		p.Control.step(),
		listener,
		outcomes,
		{Name: "monitoring", Stop: p.Monitoring.Close},
		p.Healer.step(),
		p.Healer.governor.step(),
		p.Objective.step(),
		left,
		stopped,
		{Name: "agents", Start: p.Supervisor.Start, Stop: p.Supervisor.Stop},
		{Name: "consumer groups", Start: p.joined(log)},
		sweeper,
		loop("retention", p.purge(cfg, log)),
		p.Objective.loop(log),
		loop("monitoring watch", p.lookAtMonitoring(log)),
		growth(newGrower(p, log)),
		health,
		lives,
		loop("mlflow", p.Mirror.run),
		loop("live events", (&feed{hub: p.Hub, view: p.View, supervisor: p.Supervisor, faults: p.Faults}).run),
		loop("live incidents", followLoop(p.Transport, p.Hub, p.Monitoring.Hear, log)),
		drain,
		{Name: "faults", Stop: func(context.Context) error { p.Faults.Close(); return nil }}, // else what they hold up is waited for
		p.web(cfg, log),
		loop("source", p.Source.run),
		p.topics(),
	}, func(s Step) bool { return s.Name == "" })
}

func (p parts) followChampion(ctx context.Context) error {
	if err := p.View.Refresh(ctx); err != nil {
		return err
	}
	p.Champion.Follow(ctx) // a file that can't be loaded is shown by /readyz, and looked for again
	p.Reference.Follow(ctx)
	return nil
}

// drain refuses what comes from now on and waits until all that is committed is decided. left says, once the agents have
// stopped, what could not be: they still finish what they hold when the time of the drain is over.
func (p parts) drain(cfg config.Config, log *slog.Logger) (drain, left Step) {
	var cut atomic.Bool
	drain = Step{Name: "drain", Within: max(cfg.Shutdown.Timeout/2, cfg.Shutdown.Timeout-restWithin), Stop: func(ctx context.Context) error {
		if err := p.Sweeper.Drain(ctx); err != nil {
			cut.Store(true)
			log.Info("not all that is accepted could be decided in time; the agents finish what they hold", "err", err)
		}
		return nil
	}}
	left = Step{Name: "what is left", Stop: func(ctx context.Context) error {
		if !cut.Load() {
			return nil
		}
		n, err := p.Sweeper.Left(ctx)
		switch {
		case err != nil:
			log.Warn("accepted applications are left to the next start; how many could not be read", "err", err)
		case n > 0:
			log.Warn("accepted applications could not be decided in time; the next start takes them up", "n", n)
		}
		return nil
	}}
	return drain, left
}

// restWithin is what of the shutdown's time is kept for what stops after the drain.
const restWithin = 2 * time.Second

// web is the HTTP server and the file that tells other commands where it is.
func (p parts) web(cfg config.Config, log *slog.Logger) Step {
	if p.Server == nil {
		return Step{}
	}
	return Step{
		Name: webName,
		Start: func(ctx context.Context) error {
			if err := p.Server.Start(ctx); err != nil {
				return err
			}
			return writeAddr(cfg.Data.Dir, p.Server.Addr())
		},
		Stop: func(ctx context.Context) error {
			err := p.Server.Stop(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				// A client that is too slow is no failure of ours: what of it was accepted is decided.
				log.Warn("clients that had not finished were cut off", "err", err)
				err = nil
			}
			return errors.Join(removeAddr(cfg.Data.Dir), err)
		},
	}
}

// closers are what a constructor opened, for the case that a later one fails.
type closers struct{ list []func(context.Context) error }

func (c *closers) add(f func(context.Context) error) { c.list = append(c.list, f) }

func (c *closers) close(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(c.list) {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// rootCause takes away what the wiring says about itself.
func rootCause(err error) error { return dig.RootCause(err) }
