package app

import (
	"context"
	"encoding/json"
	"errors"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// incidentDesk hands a person's words to the healing agent.
type incidentDesk interface {
	Tell(ctx context.Context, id string, want incident.EventType, by, reason string) error
}

var verbs = map[string]incident.EventType{
	api.VerbRetry: incident.EvRetry, api.VerbEscalate: incident.EvEscalate, api.VerbClose: incident.EvClose,
}

// Tell implements api.Incidents.
func (b *incidentsBackend) Tell(ctx context.Context, id, verb string, by api.Change) (api.IncidentDetail, error) {
	before, err := b.Incident(ctx, id)
	if err != nil {
		return before, err
	}
	if b.desk == nil {
		return api.IncidentDetail{}, api.RefuseUnavailable("no healing agent runs in this process", retryAfter, nil)
	}
	err = b.desk.Tell(ctx, id, verbs[verb], by.By, by.Reason)
	var refused *healing.Refused
	switch {
	case errors.As(err, &refused):
		return api.IncidentDetail{}, api.Refuse(api.Conflict, "%s: %s", verb, refused.Reason)
	case errors.Is(err, healing.ErrIdle):
		return api.IncidentDetail{}, api.RefuseUnavailable("no agent heals now: it is starting, or another process is about to take over", retryAfter, err)
	case err != nil:
		return api.IncidentDetail{}, refusal(err)
	}
	return b.Incident(ctx, id)
}

// Judge implements api.Incidents. A verdict is a record of the audit: whoever counts reads it there.
func (b *incidentsBackend) Judge(ctx context.Context, id, action string, needless bool, by api.Change) (api.IncidentDetail, error) {
	d, err := b.Incident(ctx, id)
	if err != nil {
		return d, err
	}
	var entries []store.AuditEntry
	for _, a := range d.ActionLog {
		if a.ExecutedAt.IsZero() || a.Undo || action != "" && a.ID != action {
			continue
		}
		detail, err := json.Marshal(healing.PersonVerdict{IncidentID: id, Needless: needless, Reason: by.Reason})
		if err != nil {
			return d, err
		}
		entries = append(entries, store.AuditEntry{Actor: by.By, Kind: healing.KindVerdict, Subject: a.ID, Detail: detail})
	}
	if len(entries) == 0 {
		return d, api.Refuse(api.Conflict, "nothing was executed that could be judged")
	}
	if err := b.store.AppendAudit(ctx, entries...); err != nil {
		return d, refusal(err)
	}
	return b.Incident(ctx, id)
}

// judged adds people's verdicts to the actions of an incident.
func (b *incidentsBackend) judged(ctx context.Context, actions []api.Action) error {
	for i, a := range actions {
		if a.ExecutedAt.IsZero() {
			continue
		}
		rows, err := b.store.Audit(ctx, store.AuditFilter{Kind: healing.KindVerdict, Subject: a.ID}, 0, 1)
		if err != nil {
			return refusal(err)
		}
		var v healing.PersonVerdict
		if len(rows) > 0 && json.Unmarshal(rows[0].Detail, &v) == nil {
			actions[i].Needless = &v.Needless
		}
	}
	return nil
}
