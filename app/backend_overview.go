package app

import (
	"context"
	"time"

	"aura/agents/fault"
	"aura/web/api"
)

// overview gathers what the page shows.
type overview struct {
	serverNeeds
	agents  *agentsBackend
	models  *modelsBackend
	modes   *modes
	started time.Time
	loop    loopBackend
}

// lastDecisions is how many the page lists.
const lastDecisions = 15

// Overview implements api.Overviews.
func (o *overview) Overview(ctx context.Context) (api.Overview, error) {
	out := api.Overview{
		At: now(), Version: Version(), Instance: string(o.instance), Bus: o.cfg.Bus.Kind, Schema: o.schema.Name, Started: o.started,
		Accepted: o.telemetry.nAccepted.Load(), Decided: o.telemetry.nDecided.Load(),
		Outcomes:  map[string]int64{},
		Undecided: o.window.Undecided(), Window: o.cfg.Admission.Window,
	}
	for i, name := range outcomes {
		out.Outcomes[string(name)] = o.telemetry.nOutcome[i].Load()
	}
	if q, ok := o.telemetry.latency.quantiles(time.Now(), .5, .99); ok {
		out.LatencyKnown, out.P50MS, out.P99MS = true, millis(q[0]), millis(q[1])
	}
	out.Ready = (&health{o.serverNeeds}).Ready(ctx)
	var err error
	if out.Mode, err = o.modes.Mode(ctx); err != nil {
		return out, err
	}
	if out.Agents, err = o.agents.Agents(ctx); err != nil {
		return out, err
	}
	var to rollback
	if out.Champion, to, err = o.models.champions(ctx); err != nil {
		return out, err
	}
	out.Previous, out.NoRollback = to.Version, to.Refused
	out.Mirror = o.models.Mirror()
	faults := &faults{registry: o.faults, store: o.store}
	if out.Faults, err = faults.Faults(ctx); err != nil {
		return out, err
	}
	out.FaultKinds, out.Features = texts(fault.Kinds), o.schema.Names()
	rows, err := o.store.RecentDecisions(ctx, lastDecisions, "")
	if err != nil {
		return out, refusal(err)
	}
	for _, d := range rows {
		out.Decisions = append(out.Decisions, decidedRecord(d))
	}
	return out, o.loop.show(ctx, &out)
}
