package app

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"aura/agents"
	"aura/agents/decision"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/feature"
	"aura/agents/governance"
	"aura/agents/healing"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/agents/monitoring"
	"aura/healing/detect"
	"aura/store"
	"aura/web/api"
)

// agentsBackend answers for the agents of this process, and for what those of others have saved of theirs.
type agentsBackend struct {
	store    *store.Store
	fleet    *fleet
	announce announcer
}

// Agents implements api.Agents: first those of this process, then the others by name and instance.
func (b *agentsBackend) Agents(ctx context.Context) ([]api.Agent, error) {
	statuses := b.fleet.supervisor().Statuses()
	out := make([]api.Agent, len(statuses))
	for i, s := range statuses {
		out[i] = agentOf(s)
	}
	others, err := b.fleet.others(ctx)
	if err != nil {
		return out, refusal(err)
	}
	for _, h := range others {
		out = append(out, elsewhere(h))
	}
	return out, nil
}

// elsewhere tells of an agent of another process.
func elsewhere(h store.AgentHealth) api.Agent {
	out := api.Agent{
		Name: h.Agent, Instance: h.Instance, Elsewhere: true, State: h.State, Incarnation: h.Incarnation, Cause: h.Cause,
		Handled: h.Watermark, Queue: h.Queue, LastBeat: h.BeatAt, Topics: topicsOf[h.Agent],
	}
	if silent(h) {
		out.State = "SILENT"
	}
	return out
}

// restartWithin bounds how long a person waits for the next life of an agent of another process.
const restartWithin = 10 * time.Second

// Restart implements api.Agents: the wish is a row first, with who and why, so that healing and the audit know of it, and the
// process that has the agent follows it. Of several instances it is the one here, or else the worst.
func (b *agentsBackend) Restart(ctx context.Context, name string, by api.Change) (api.Agent, error) {
	instance := ""
	if slices.ContainsFunc(b.fleet.supervisor().Statuses(), func(s agents.Status) bool { return s.Agent == name }) {
		instance = b.fleet.instance
	}
	h, err := b.fleet.find(ctx, name, instance)
	var unknown *healing.Refused
	switch {
	case errors.As(err, &unknown):
		return api.Agent{}, agentRefusal(agents.ErrUnknownAgent)
	case err != nil:
		return api.Agent{}, refusal(err)
	case h.Stuck:
		return api.Agent{}, agentRefusal(agents.ErrQuarantined)
	}
	least := h.Incarnation + 1
	v, err := b.store.Set(ctx, store.Change{
		Setting: store.AgentSetting(name, b.fleet.named(h.Instance)), Value: strconv.FormatInt(least, 10), By: by.By, Reason: by.Reason, Person: true,
	})
	if err != nil {
		return api.Agent{}, refusal(err)
	}
	b.announce(ctx, v.Setting, v.Generation)
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	if err := b.fleet.ensure(ctx, name, h.Instance, least, by.Reason); err != nil {
		if errors.As(err, &unknown) {
			err = agents.ErrQuarantined
		}
		return api.Agent{}, agentRefusal(err)
	}
	list, err := b.Agents(ctx)
	if err != nil {
		return api.Agent{}, err
	}
	for _, a := range list {
		if a.Name == name && a.Instance == h.Instance {
			return a, nil
		}
	}
	return api.Agent{}, agentRefusal(agents.ErrUnknownAgent)
}

func agentRefusal(err error) error {
	switch {
	case errors.Is(err, agents.ErrUnknownAgent):
		return api.Refuse(api.NotFound, "no agent of this name runs here; GET /api/v1/agents lists them")
	case errors.Is(err, agents.ErrQuarantined):
		return api.Refuse(api.Conflict, "too many abandoned lives of this agent still run; end the fault that holds them, or restart the process")
	case errors.Is(err, agents.ErrNotRunning):
		return api.RefuseUnavailable("the agents are not running", retryAfter, err)
	}
	return refusal(err)
}

// topicsOf is what each agent reads, for the picture of the pipeline.
var topicsOf = map[string][]string{
	ingestion.Name: nil, // from clients and sources
	feature.Name:   {string(event.RawEvents)},
	model.Name:     {string(event.FeaturesTopic)},
	decision.Name:  {string(event.Predictions), string(event.FeaturesTopic)},
	// Those that watch and heal.
	monitoring.Name: {string(event.Metrics), string(event.IncidentLog)},
	healing.Name:    {string(event.Alerts), string(event.PolicyDecisions)},
	governance.Name: {string(event.PolicyRequests)},
}

func agentOf(s agents.Status) api.Agent {
	return api.Agent{
		Name: s.Agent, Instance: s.Instance, State: string(s.State), Incarnation: s.Incarnation,
		Since: s.Since, Cause: s.Cause, NotReady: s.NotReady,
		Handled: s.Handled, Failed: s.Failed, Refused: s.Refused, Restarts: s.Restarts, Zombies: s.Zombies,
		Queue: s.Queue, QueueAgeMS: millis(s.QueueAge), InFlight: s.InFlight,
		Rate: s.Rate, P50MS: millis(s.P50), P99MS: millis(s.P99), LastBeat: s.LastBeat, Topics: topicsOf[s.Agent],
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// faults answers for injected faults.
type faults struct {
	registry *fault.Registry
	store    *store.Store
}

// Faults implements api.Faults.
func (b *faults) Faults(context.Context) ([]api.Fault, error) {
	list := b.registry.List()
	out := make([]api.Fault, len(list))
	for i, f := range list {
		out[i] = faultOf(f)
	}
	return out, nil
}

func faultOf(f fault.Fault) api.Fault {
	out := api.Fault{
		ID: f.ID, Target: f.Target, Kind: string(f.Kind), Share: f.Share, Times: f.Times, Hits: f.Hits,
		CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt, FaultChange: api.FaultChange(f.Change),
	}
	if f.Delay > 0 {
		out.Delay = f.Delay.String()
	}
	return out
}

// health answers whether this process can take and decide applications.
type health struct{ serverNeeds }

// readyAge is the age of the oldest undecided application past which the process says that it is behind.
const readyAge = 30 * time.Second

// Ready implements api.Health.
func (h *health) Ready(ctx context.Context) []api.Check {
	checks := []api.Check{check("store", h.storeReady(ctx))}
	if selected(h.cfg, model.Name) {
		checks = append(checks, check("model", h.modelReady()))
	}
	for _, s := range h.supervisor.Statuses() {
		var err error
		switch {
		case h.bypassed(s.Agent):
		case s.State != agents.Running && s.State != agents.Slow:
			err = errors.New("agent is " + string(s.State))
		case h.failing(s.Agent):
			err = errors.New("most of its attempts fail")
		}
		checks = append(checks, check("agent "+s.Agent, err))
	}
	if !selected(h.cfg, ingestion.Name) {
		return checks
	}
	var err error
	switch {
	case h.window.Undecided() >= h.cfg.Admission.Window:
		err = errors.New("the window of undecided applications is full; more are answered 429")
	case h.window.OldestAge(now()) > readyAge:
		err = errors.New("an application has waited for more than " + readyAge.String())
	}
	return append(checks, check(ingestion.Name, err))
}

// bypassed agents don't matter: in safe mode nothing waits for the model.
func (h *health) bypassed(agent string) bool {
	return agent == model.Name && h.view.Current().Mode == event.ModeSafe
}

// failing reports what monitoring has confirmed of an agent that runs: it fails what it handles.
func (h *health) failing(agent string) bool {
	for _, s := range h.monitoring.Report().Signals {
		if s.Kind == detect.AgentDown && s.Target == agent {
			return s.State == detect.Confirmed
		}
	}
	return false
}

// failingWrites is how long writes may fail before the process says that it takes no applications.
const failingWrites = time.Second

func (h *health) storeReady(ctx context.Context) error {
	if st := h.store.Stats(); !st.FailingSince.IsZero() && time.Since(st.FailingSince) > failingWrites {
		return errors.New("the store can't be written to: " + st.FailingCode)
	}
	_, err := h.store.Desired(ctx)
	return err
}

func (h *health) modelReady() error {
	if h.view.Current().Mode == event.ModeSafe {
		return nil
	}
	return h.champion.Ready()
}

func check(name string, err error) api.Check {
	if err != nil {
		return api.Check{Name: name, Reason: err.Error()}
	}
	return api.Check{Name: name, OK: true}
}
