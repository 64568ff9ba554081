package app

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// detail is an incident with all that was done; times of execution come from the actions' rows, which the effect's own
// transaction wrote.
func (b *incidentsBackend) detail(ctx context.Context, row store.IncidentRow) (api.IncidentDetail, error) {
	in := documentOf(row)
	rows, err := b.store.Actions(ctx, store.ActionFilter{IncidentID: row.ID}, "", 200)
	if err != nil {
		return api.IncidentDetail{}, refusal(err)
	}
	out := api.IncidentDetail{
		Incident: incidentView(row, in), OrderReason: in.OrderReason, DryRun: in.DryRun, Signal: evidenceOf(in.Signal), EarlierDetectedAt: in.Detections,
		Steps: stepsOf(in), Ladder: ladderOf(in), ActionLog: []api.Action{}, Timeline: []api.TimelineStep{},
	}
	for _, r := range slices.Backward(rows) {
		out.ActionLog = append(out.ActionLog, actionOf(r))
	}
	if err := b.judged(ctx, out.ActionLog); err != nil {
		return out, err
	}
	for _, e := range in.Timeline {
		out.Timeline = append(out.Timeline, api.TimelineStep{
			Seq: e.Seq, At: e.At, From: string(e.From), State: string(e.State), Event: string(e.Event),
			Action: e.Action, ActionID: e.ActionID, Text: e.Text,
		})
	}
	return out, nil
}

func evidenceOf(s incident.Signal) api.Evidence {
	e := api.Evidence{
		State: string(s.State), Words: spoken(s), Value: s.Value, Threshold: s.Threshold, N: s.N, ObservedAt: s.ObservedAt, DataBug: s.DataBug, Numbers: s.Numbers,
	}
	if json.Unmarshal(s.Evidence, &e.Detail) != nil {
		e.Detail = nil
	}
	return e
}

// ladderOf shows each rung with what became of it.
func ladderOf(in incident.Incident) []api.Rung {
	out := make([]api.Rung, len(in.Ladder))
	for i, r := range in.Ladder {
		out[i] = api.Rung{
			Rung: i + 1, Action: r.Action, Params: r.Params, Requires: r.Requires, Verification: r.Verification, Protect: r.Protect, Why: r.Why,
			State: api.StepWaiting,
		}
		if in.State.Final() || i < in.RungIndex {
			out[i].State = api.StepSkipped
		}
		for _, a := range in.Actions {
			// After a relapse the ladder may have another order: what was done before belongs to no rung of it. Nor does what an
			// earlier pass has tried.
			if !in.Earlier(a) && a.Rung == i && a.Purpose == incident.Forward && (a.Follows || a.Type == r.Action) {
				out[i].State, out[i].Note = rungState(a), noteOf(r, a)
			}
		}
	}
	return out
}

// noteOf says how a rung's last action ended, by name where it isn't the rung's own.
func noteOf(r incident.Rung, a incident.Action) string {
	note := string(a.Result)
	if a.Result != "" && a.Reason != "" {
		note += ": " + a.Reason
	}
	if a.Type != r.Action {
		note = strings.TrimSuffix(a.Type+" "+note, " ")
	}
	return note
}

func rungState(a incident.Action) string {
	switch a.Result {
	case "":
		return api.StepNow
	case incident.Verified:
		return api.StepDone
	case incident.Withdrawn, incident.DryRunResult, incident.Stood, incident.TakenOver:
		return api.StepSkipped
	}
	return api.StepFailed
}
