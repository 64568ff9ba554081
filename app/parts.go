package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/feature"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/agents/monitoring"
	"aura/agents/reference"
	"aura/agents/shadow"
	"aura/agents/tracing"
	"aura/app/config"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
	"aura/web"
	"aura/web/api"
)

// gcPercent trades memory for the tail: at 5,000 applications a second GOGC=100 has a p99 seven times as long.
const gcPercent = 400

func loadSchema(cfg config.Config) (*schema.Schema, error) {
	if cfg.Schema.File == "" {
		return schema.Builtin(), nil
	}
	s, err := schema.Load(cfg.Schema.File)
	if err != nil {
		return nil, refuse("schema.file: %v", err)
	}
	return s, nil
}

func storeOptions(cfg config.Config, log *slog.Logger) store.Options {
	return store.Options{
		Dir: cfg.Data.Dir, URL: cfg.Store.URL, Logger: log,
		// Below the stage deadline, so that who is kept waiting by another tool's lock is told that, and not that it took long.
		BusyTimeout: cfg.Agents.StageDeadline / 2,
	}
}

func openStore(ctx context.Context, cfg config.Config, o store.Options, opened *closers) (*store.Store, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s, err := store.Open(ctx, o)
	var refused *store.Refused
	if errors.As(err, &refused) {
		return nil, refuse("%s", refused.Reason)
	}
	if err != nil && cfg.Store.URL != "" {
		return nil, fmt.Errorf("open the store that store.url (--db) names: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Data.Dir, err)
	}
	opened.add(s.Close)
	return s, nil
}

func newTransport(cfg config.Config, name instance, log *slog.Logger, opened *closers) (bus.Transport, error) {
	o := bus.MemoryOptions{Lanes: cfg.Bus.Lanes, Capacity: cfg.Bus.LaneCapacity, Logger: log}
	var t bus.Transport
	switch cfg.Bus.Kind {
	case "memory":
		t = bus.NewMemory(o)
	case "gochannel":
		t = bus.NewGoChannel(o)
	case kafkaBus:
		k, err := newKafka(cfg, name, log)
		if err != nil {
			return nil, err
		}
		t = k
	default:
		return nil, refuse("bus.kind: %q is none of memory, gochannel and kafka", cfg.Bus.Kind)
	}
	opened.add(func(context.Context) error { return t.Close() })
	return t, nil
}

func newView(ctx context.Context, s *store.Store, log *slog.Logger) (*desired.View, error) {
	return desired.New(ctx, s, log)
}

func newRegistry(cfg config.Config, s *store.Store, sch *schema.Schema, log *slog.Logger) *registry.Registry {
	return registry.New(s, cfg.Data.Dir, sch, log.With("component", "registry"))
}

func newChampion(r *registry.Registry, view *desired.View, log *slog.Logger) *model.Champion {
	c := model.NewChampion(r, view, log)
	view.OnChange(func(ctx context.Context, before, after desired.State) {
		if after.ChampionGeneration != before.ChampionGeneration {
			c.Follow(ctx)
		}
	})
	return c
}

// here lists the agents of this process.
func here(cfg config.Config) []string {
	return slices.DeleteFunc(slices.Concat(pipeline, controlNames), func(name string) bool { return !selected(cfg, name) })
}

func newFaults(cfg config.Config, data *userData, s *schema.Schema, bad *badModel, view *desired.View, log *slog.Logger, opened *closers) *fault.Registry {
	f := fault.New(fault.Options{
		MaxTTL: cfg.Faults.MaxTTL, Seed: cfg.Seed, Targets: here(cfg), Logger: log, Data: sourceData(cfg, data, s), BadModel: bad,
	})
	bad.follow(view, f)
	opened.add(func(context.Context) error { f.Close(); return nil })
	return f
}

func newWindow(cfg config.Config) *ingestion.Window { return ingestion.NewWindow(cfg.Admission.Window) }

// publishWithin is how long intake waits for the bus: for room in this process, or for a broker that takes some milliseconds
// and more under load. Either is far below the stage deadline, for intake is not the one that hangs then.
func publishWithin(cfg config.Config) time.Duration {
	if cfg.Bus.Kind == kafkaBus {
		return cfg.Agents.StageDeadline / 2
	}
	return cfg.Agents.StageDeadline / 20
}

func newIntake(cfg config.Config, sch *schema.Schema, s *store.Store, t bus.Transport, w *ingestion.Window, tel *telemetry, tracer *tracing.Tracer,
	view *desired.View, sh *shadow.Scores, now clock, log *slog.Logger, opened *closers,
) *ingestion.Intake {
	in := ingestion.New(ingestion.Options{
		Schema: sch, Store: s, Publisher: t, Window: w, Counter: tel, Now: now, Log: log, SweepAfter: cfg.Sweep.MinAge,
		View: view, Shadow: sh, SLO: latencyObjective, PublishWithin: publishWithin(cfg), Tracer: tracer,
	})
	opened.add(func(context.Context) error { return in.Close() })
	return in
}

// clock tells the wall's time to everything that judges and records.
type clock func() time.Time

// now is the process' clock, to the microsecond that the store keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// latencyObjective is what a decision may take, from acceptance.
const latencyObjective = 300 * time.Millisecond

// shadowScores is how many scores given beside safe mode are remembered for their outcomes.
const shadowScores = 10_000

// beside asks the champion that this process has loaded. Rules decide meanwhile, perhaps because of this very model: whatever
// it does to the one who asks ends here.
func beside(c *model.Champion) func(*event.Features) (float64, int, bool) {
	return func(f *event.Features) (p float64, version int, ok bool) {
		defer func() {
			if recover() != nil {
				ok = false
			}
		}()
		l := c.Current()
		if l == nil {
			return 0, 0, false
		}
		return l.Score(f.Vector), l.Version, true
	}
}

func newShadow() *shadow.Scores { return shadow.New(shadowScores) }

// sweepTick is how often the window is looked through.
const sweepTick = 250 * time.Millisecond

// holders see what is still on its way: in mailboxes, or set aside by the supervisor, which is made later.
type holders struct {
	transport  bus.Transport
	supervisor *agents.Supervisor
}

func newHolders(t bus.Transport) *holders { return &holders{transport: t} }

// Holds implements ingestion.Holder. What was set aside is looked at first: it goes back to the lanes from there.
func (h *holders) Holds(keys map[string]bool, upstreamFirst ...event.Topic) (map[string]bool, bool) {
	aside := h.supervisor.Holds(keys)
	held, ok := h.transport.Holds(keys, upstreamFirst...)
	if held == nil {
		held = map[string]bool{}
	}
	maps.Copy(held, aside)
	return held, ok
}

func newSweeper(cfg config.Config, in *ingestion.Intake, s *store.Store, h *holders, lead *leaders, log *slog.Logger) *ingestion.Sweeper {
	var leads func(context.Context) bool
	if selected(cfg, ingestion.Name) { // else it never runs
		leads = lead.of(leadOrphans)
	}
	return ingestion.NewSweeper(ingestion.SweeperOptions{
		Intake: in, Backlog: s, Holder: h, Leads: leads, MaxDelay: cfg.Sweep.MaxAge, Tick: sweepTick, Log: log.With("component", "sweeper"),
	})
}

func newTechnical(s *store.Store, t bus.Transport, view *desired.View, tel *telemetry, now clock, log *slog.Logger) *decision.Technical {
	return &decision.Technical{Store: s, Publisher: t, View: view, Now: now, Log: log, Observe: tel.decided}
}

type supervisorNeeds struct {
	cfg       config.Config
	log       *slog.Logger
	schema    *schema.Schema
	store     *store.Store
	transport bus.Transport
	view      *desired.View
	champion  *model.Champion
	faults    *fault.Registry
	technical *decision.Technical
	intake    *ingestion.Intake
	sweeper   *ingestion.Sweeper
	telemetry *telemetry
	reference *reference.Holder
	shadow    *shadow.Scores
	holders   *holders
	control   []agents.Spec
	governs   func() bool
	now       clock
	tracer    *tracing.Tracer
	instance  instance
}

func newSupervisor(cfg config.Config, log *slog.Logger, sch *schema.Schema, s *store.Store, t bus.Transport, view *desired.View,
	c *model.Champion, f *fault.Registry, tech *decision.Technical, in *ingestion.Intake, sw *ingestion.Sweeper, tel *telemetry, ref *reference.Holder, sh *shadow.Scores, h *holders,
	mon *monitoring.Monitoring, heal *healer, now clock, tracer *tracing.Tracer, name instance,
) (*agents.Supervisor, error) {
	n := supervisorNeeds{cfg, log, sch, s, t, view, c, f, tech, in, sw, tel, ref, sh, h, controlAgents(cfg, mon, heal), heal.governs, now, tracer, name}
	return n.supervisor()
}

func (n supervisorNeeds) supervisor() (*agents.Supervisor, error) {
	current := n.reference.Current
	if !watched(n.cfg) {
		current = nil // counts nothing
	}
	sup, err := agents.New(agents.Options{
		Transport: n.intake.Transport(n.transport), Incarnations: n.store, Injector: n.faults, Logger: n.log, Instance: string(n.instance), Tracer: n.tracer,
		StageDeadline: n.cfg.Agents.StageDeadline, Grace: n.cfg.Agents.Grace, Heartbeat: n.cfg.Agents.Heartbeat,
		Restart: agents.RestartPolicy(n.cfg.Agents.Restart), Governed: n.governs, MaxZombies: n.cfg.Agents.MaxZombies,
		AfterUncleanExit: n.store.Unclean(),
	})
	if err != nil {
		return nil, err
	}
	for _, spec := range append([]agents.Spec{
		n.intake.Spec(),
		feature.Spec(feature.Options{
			Schema: n.schema, Reference: current, GiveUp: n.technical.GiveUp(feature.Name),
		}),
		model.Spec(model.Options{
			Schema: n.schema, Champion: n.champion, View: n.view, GiveUp: n.technical.GiveUp(model.Name),
		}),
		decision.Spec(decision.Options{
			Schema: n.schema, Store: n.store, View: n.view, Now: n.now, Log: n.log,
			Observe: n.telemetry.decided, GiveUp: n.technical.GiveUp(decision.Name),
			Reference: current, Shadow: n.shadow, SLO: latencyObjective, Beside: beside(n.champion),
		}),
	}, n.control...) {
		if !selected(n.cfg, spec.Name) {
			continue
		}
		if err := sup.Add(spec); err != nil {
			return nil, err
		}
	}
	n.holders.supervisor = sup
	for _, spec := range n.control {
		for _, in := range spec.Inputs {
			// Who watches must hold nobody up: what it missed is said again.
			sup.Mailbox(spec.Name, in.Topic).SetOverflow(bus.DropOldest)
		}
	}
	bypass := func(event.Mode) {}
	if selected(n.cfg, model.Name) {
		bypass = bypassModel(sup)
	}
	bypass(n.view.Current().Mode)
	n.view.OnChange(func(_ context.Context, before, after desired.State) {
		if after.Mode == before.Mode {
			return
		}
		bypass(after.Mode)
		n.sweeper.Kick()
	})
	return sup, nil
}

// bypassModel lets the model's lanes drop their oldest while the rules decide, so that a model agent that is dead, hung
// or slow can't hold up the features that the decision agent reads.
func bypassModel(sup *agents.Supervisor) func(event.Mode) {
	box := sup.Mailbox(model.Name, event.FeaturesTopic)
	return func(m event.Mode) {
		if m == event.ModeSafe {
			box.SetOverflow(bus.DropOldest)
		} else {
			box.SetOverflow(bus.Block)
		}
	}
}

func newHub() *web.Hub { return web.NewHub(web.HubOptions{}) }

type serverNeeds struct {
	cfg        config.Config
	store      *store.Store
	registry   *registry.Registry
	view       *desired.View
	champion   *model.Champion
	faults     *fault.Registry
	window     *ingestion.Window
	supervisor *agents.Supervisor
	telemetry  *telemetry
	schema     *schema.Schema
	monitoring *monitoring.Monitoring
	instance   instance
}

// newServer returns nil where nothing is served.
func newServer(cfg config.Config, log *slog.Logger, sch *schema.Schema, s *store.Store, r *registry.Registry, view *desired.View,
	c *model.Champion, f *fault.Registry, w *ingestion.Window, in *ingestion.Intake, sup *agents.Supervisor, tel *telemetry,
	ctl *control, models *modelsBackend, hub *web.Hub, mon *monitoring.Monitoring, heal *healer, topics *ingestion.Topics, front *door, tracer *tracing.Tracer, name instance, fl *fleet,
) (*web.Server, error) {
	tel.registry.MustRegister(&live{
		supervisor: sup, topics: topics, window: w, capacity: cfg.Admission.Window, faults: f, store: s,
		mode: func() event.Mode { return view.Current().Mode }, champion: func() int { return view.Current().Champion },
	})
	if !serves(cfg) {
		return nil, nil
	}
	n := serverNeeds{cfg, s, r, view, c, f, w, sup, tel, sch, mon, name}
	ag := &agentsBackend{store: s, fleet: fl, announce: ctl.announce}
	md := &modes{store: s, view: view, publish: ctl.announce, fleet: fl}
	loop := newLoopBackend(cfg, sch, s, view, ctl.announce, mon, tel, heal, heal.agents(cfg))
	tel.registry.MustRegister(&deploymentTelemetry{store: s, report: mon.Report, healing: loop.healing.state})
	backend := api.Backend{
		Applications: &applications{schema: sch, intake: in, store: s, count: tel, elsewhere: !selected(cfg, ingestion.Name)},
		Feedback:     &feedback{intake: in, now: now, elsewhere: !selected(cfg, ingestion.Name)},
		Agents:       ag, Models: models, Modes: md,
		Health:    &health{n},
		Overview:  &overview{serverNeeds: n, agents: ag, models: models, modes: md, started: now(), loop: loop},
		Incidents: loop.incidents, Signals: loop.signals, Approvals: loop.approvals, Healing: loop.healing,
		Records: &recordsBackend{s, tel.audited, keyFile(cfg)}, Operations: &operationsBackend{heal},
	}
	if cfg.Faults.Enabled {
		backend.Faults = &faults{registry: f, store: s}
	}
	server, err := web.New(web.Options{
		Bare: !selected(cfg, webName), Addr: cfg.HTTP.Addr, Listener: front.listener, Token: cfg.HTTP.Token, Hosts: cfg.HTTP.Hosts, Backend: backend,
		Gatherer: tel.registry, Registerer: tel.registry, Hub: hub, Logger: log, Version: Version(),
		DecisionWait: cfg.HTTP.Wait, MaxBody: int64(cfg.HTTP.MaxBody), Principals: heal.people(), Tracer: tracer,
	})
	if errors.Is(err, web.ErrTokenRequired) {
		return nil, refuse("%v", err)
	}
	return server, err
}

func removeAddr(dir string) error {
	if err := os.Remove(addrFile(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
