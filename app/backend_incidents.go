package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/store"
	"aura/web/api"
)

// incidentsBackend answers for incidents, actions and memory: all of them are rows, so it needs no agent.
// People's words go to desk, which is nil where no healing runs.
type incidentsBackend struct {
	store *store.Store
	desk  incidentDesk
	// playbook gives the ladders in force.
	playbook func() playbook.Playbook
	slo      func(ctx context.Context, since time.Time) (api.SLO, error)
}

// Incidents implements api.Incidents. The cursor is the id of the last one shown.
func (b *incidentsBackend) Incidents(ctx context.Context, f api.IncidentFilter, limit int, cursor string) (api.List[api.Incident], error) {
	if err := known(ctx, cursor, b.store.Incident); err != nil {
		return api.List[api.Incident]{}, err
	}
	rows, err := b.store.Incidents(ctx, store.IncidentFilter{Status: f.Status, Type: f.Type}, cursor, limit+1)
	return listOf(rows, limit, err, incidentOf, func(r store.IncidentRow) string { return r.ID })
}

// Incident implements api.Incidents.
func (b *incidentsBackend) Incident(ctx context.Context, id string) (api.IncidentDetail, error) {
	row, err := b.store.Incident(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return api.IncidentDetail{}, api.Refuse(api.NotFound, "no incident has this id; GET /api/v1/incidents lists them")
	}
	if err != nil {
		return api.IncidentDetail{}, refusal(err)
	}
	return b.detail(ctx, row)
}

// Actions implements api.Incidents. The cursor is the id of the last one shown.
func (b *incidentsBackend) Actions(ctx context.Context, incidentID string, limit int, cursor string) (api.List[api.Action], error) {
	if err := known(ctx, cursor, b.store.Action); err != nil {
		return api.List[api.Action]{}, err
	}
	rows, err := b.store.Actions(ctx, store.ActionFilter{IncidentID: incidentID}, cursor, limit+1)
	return listOf(rows, limit, err, actionOf, func(r store.ActionRow) string { return r.ID })
}

// Memories implements api.Incidents.
func (b *incidentsBackend) Memories(ctx context.Context, kind string, limit int) ([]api.Memory, error) {
	rows, err := b.store.Memories(ctx, kind, limit)
	if err != nil {
		return nil, refusal(err)
	}
	needless, err := healing.Verdicts(ctx, b.store)
	if err != nil {
		return nil, refusal(err)
	}
	out := make([]api.Memory, len(rows))
	for i, m := range rows {
		var doc incident.Memory
		_ = json.Unmarshal(m.Document, &doc) // the columns say the rest
		out[i] = api.Memory{
			Type: m.Kind, Target: m.Target, ActionType: m.ActionType, IncidentID: m.IncidentID, ActionID: m.ActionID,
			Healed: m.Healed && !needless[m.ActionID], NoCredit: doc.NoCredit, TookS: m.Took.Seconds(), Before: doc.Before, After: doc.After, At: m.At,
		}
		if needless[m.ActionID] {
			out[i].NoCredit = "a person judged it needless"
		}
	}
	return out, nil
}

// Graph implements api.Incidents.
func (*incidentsBackend) Graph() api.Graph {
	c := incident.Graph()
	g := api.Graph{Initial: string(c.Initial), Mermaid: c.Mermaid(), Dot: c.Dot(), Final: texts(c.Final), States: texts(c.States)}
	for _, a := range c.Arrows {
		g.Arrows = append(g.Arrows, api.Arrow{From: string(a.From), To: string(a.To), Event: string(a.Event), When: a.When})
	}
	return g
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

// known refuses a cursor that is no row's id; "" is the first page.
func known[R any](ctx context.Context, cursor string, get func(context.Context, string) (R, error)) error {
	if cursor == "" {
		return nil
	}
	switch _, err := get(ctx, cursor); {
	case errors.Is(err, store.ErrNotFound):
		return api.RefuseCursor()
	case err != nil:
		return refusal(err)
	}
	return nil
}

// listOf makes a page of limit+1 rows: the one too many says that there is a next page.
func listOf[R, V any](rows []R, limit int, err error, view func(R) V, id func(R) string) (api.List[V], error) {
	if err != nil {
		return api.List[V]{}, refusal(err)
	}
	list := api.List[V]{Items: make([]V, 0, min(limit, len(rows)))}
	for i, r := range rows {
		if i == limit {
			list.NextCursor = id(rows[limit-1])
			break
		}
		list.Items = append(list.Items, view(r))
	}
	return list, nil
}

// documentOf is the incident inside a row. A document that can't be read leaves the columns to speak.
func documentOf(r store.IncidentRow) incident.Incident {
	var in incident.Incident
	if json.Unmarshal(r.Document, &in) != nil {
		return incident.Incident{}
	}
	return in
}

func incidentOf(r store.IncidentRow) api.Incident { return incidentView(r, documentOf(r)) }

func incidentView(r store.IncidentRow, in incident.Incident) api.Incident {
	out := api.Incident{
		ID: r.ID, Type: r.Type, Status: r.Status, State: r.State, Target: r.Target, Reason: in.Reason, WaitsFor: in.Waits(),
		OnsetAt: r.OnsetAt, DetectedAt: r.DetectedAt, ResolvedAt: r.ResolvedAt, Degraded: r.Degraded, RestoredAt: r.RestoredAt,
		UpdatedAt: r.UpdatedAt, SelfRecovered: in.SelfRecovered, ByHand: in.ByHand, Escalation: string(in.Escalation), Actions: len(in.Actions), Links: in.Links,
	}
	if n := len(in.Actions); n > 0 {
		a := in.Actions[n-1]
		out.LastAction = a.Type
		if a.Result != "" {
			out.LastAction += " (" + string(a.Result) + ")"
		}
	}
	return out
}

func actionOf(r store.ActionRow) api.Action {
	var doc incident.Action
	if json.Unmarshal(r.Document, &doc) != nil {
		doc = incident.Action{}
	}
	out := actionView(r.IncidentID, doc)
	out.ID, out.Type, out.Target, out.Rung, out.Undo = r.ID, r.Type, r.Target, r.Rung, r.Undo
	out.Digest, out.AGLDecision, out.Asked, out.Result = r.Digest, r.AGLDecision, r.Asked(), r.Result
	out.ProposedAt, out.ExecutedAt, out.EndedAt, out.UndoneAt = r.ProposedAt, r.ExecutedAt, r.FinishedAt, r.UndoneAt
	out.Params = map[string]string{}
	if json.Unmarshal(r.Params, &out.Params) != nil {
		out.Params = nil
	}
	return out
}

// actionView is an action as the incident knows it.
func actionView(incidentID string, a incident.Action) api.Action {
	out := api.Action{
		ID: a.ID, IncidentID: incidentID, Type: a.Type, Params: a.Params, Purpose: string(a.Purpose), Rung: a.Rung,
		Undo: a.Purpose == incident.Undo, AGLDecision: a.AGL, Rule: a.Rule, Approver: a.Approver, Digest: a.Digest,
		ProposedAt: a.ProposedAt, DecidedAt: a.DecidedAt, ExecutedAt: a.ExecutedAt, EndedAt: a.EndedAt,
		Result: string(a.Result), Reason: a.Reason, Before: a.Before, After: a.After,
	}
	if out.Reason == "" && a.ExecutedAt.IsZero() {
		out.Reason = a.Progress
	}
	if a.Undo != nil && a.Undo.OK {
		out.UndoneAt = a.Undo.EndedAt
	}
	if v := a.Verdict; v != nil {
		out.Verdict = &api.Verdict{
			State: string(v.State), Lower: v.Lower, Upper: v.Upper, N: v.N, At: v.ObservedAt,
			SelfRecovered: v.SelfRecovered, Worse: v.Worse, Reason: v.Reason,
		}
	}
	return out
}
