package healing

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// Names of actions' parameters.
const (
	paramAgent     = "agent"
	paramInstance  = "instance"
	paramLeast     = "least_incarnation"
	paramVersion   = "version"
	paramDigest    = "digest"
	paramPrevious  = "previous"
	paramReference = "reference"
)

// resolver finds an action's exact parameters and its inverse: what governance decides about, and nothing else runs. It
// refuses what could not run, or would change nothing.
type resolver struct {
	store   *store.Store
	targets Targets
	now     func() time.Time
}

func (r *resolver) resolve(ctx context.Context, in incident.Incident, a incident.Action) (map[string]string, *incident.Inverse, error) {
	params := maps.Clone(a.Params)
	if params == nil {
		params = map[string]string{}
	}
	switch a.Type {
	case incident.EnableSafeMode:
		if err := r.personsModel(ctx); err != nil {
			return nil, nil, err
		}
		return r.mode(ctx, params, store.ModeSafe, incident.DisableSafeMode)
	case incident.DisableSafeMode:
		return r.mode(ctx, params, store.ModeModel, incident.EnableSafeMode)
	case incident.RollbackModel, incident.PromoteModel:
		return r.champion(ctx, a.Type, params)
	case incident.TriggerRetraining:
		if r.targets.Trainer == nil {
			return nil, nil, &Refused{Reason: "there is no trainer in this process"}
		}
		return params, nil, nil
	case incident.AcceptReference:
		return r.accept(ctx, a.ID, params)
	case incident.RestoreReference:
		return r.earlier(ctx, params, Since(in))
	case incident.RestartAgent:
		return r.restart(ctx, in, params)
	}
	return nil, nil, &Refused{Reason: "there is no action " + a.Type}
}

// PersonsModel is how long the mode is left alone after a person ended a safe mode that healing had set.
const PersonsModel = 10 * time.Minute

// personsModel refuses safe mode where the newest change of mode is a person's return to MODEL from one that an action set.
func (r *resolver) personsModel(ctx context.Context) error {
	changes, err := r.store.ConfigHistory(ctx, historyPage, 0) // the newest first
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(changes, func(c store.ConfigChange) bool { return c.Setting.Setting != store.SettingMode })
	if len(changes) < 2 || !changes[0].Person || changes[0].Value != string(store.ModeModel) || changes[1].ActionID == "" {
		return nil
	}
	if until := changes[0].ChangedAt.Add(PersonsModel); r.now().Before(until) {
		return &Refused{
			Reason: changes[0].Owner + " has set the mode to MODEL instead of safe mode: it is theirs until " + until.UTC().Format("15:04:05 UTC"),
			Until:  until,
		}
	}
	return nil
}

func (r *resolver) mode(ctx context.Context, params map[string]string, to store.Mode, inverse string) (map[string]string, *incident.Inverse, error) {
	state, err := r.store.Desired(ctx)
	if err != nil {
		return nil, nil, err
	}
	if state.Mode == to {
		return nil, nil, &Refused{Reason: "the mode is " + string(to) + " already"}
	}
	return params, &incident.Inverse{Type: inverse}, nil
}

// champion resolves a rollback, to what was in charge before, or a promotion, of what the gate chose.
func (r *resolver) champion(ctx context.Context, kind string, params map[string]string) (map[string]string, *incident.Inverse, error) {
	champion, previous, err := r.targets.Models.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	version := previous.Version
	if kind == incident.PromoteModel {
		if version, err = strconv.Atoi(params[paramVersion]); err != nil {
			return nil, nil, &Refused{Reason: "nothing to promote: no version was chosen"}
		}
	}
	if version == 0 {
		return nil, nil, &Refused{Reason: "there is no previous version to go back to"}
	}
	if version == champion.Version {
		return nil, nil, &Refused{Reason: "version " + strconv.Itoa(version) + " is in charge already"}
	}
	checked, err := r.targets.Models.Check(ctx, version)
	if err != nil {
		return nil, nil, refusal(err)
	}
	if d := params[paramDigest]; d != "" && d != checked.Digest {
		return nil, nil, &Refused{Reason: "version " + strconv.Itoa(version) + " is not the model that was chosen: its digest differs"}
	}
	setModel(params, checked, champion.Version)
	back := map[string]string{}
	setModel(back, champion, previous.Version)
	return params, &incident.Inverse{Type: incident.RestoreModel, Params: back}, nil
}

func setModel(params map[string]string, m Model, previous int) {
	params[paramVersion], params[paramDigest] = strconv.Itoa(m.Version), m.Digest
	params[paramPrevious] = strconv.Itoa(previous)
}

func modelOf(params map[string]string) (Model, int, error) {
	version, err := strconv.Atoi(params[paramVersion])
	previous, err2 := strconv.Atoi(params[paramPrevious])
	if err != nil || err2 != nil || version <= 0 || previous < 0 || params[paramDigest] == "" {
		return Model{}, 0, &Refused{Reason: "the parameters name no model"}
	}
	return Model{version, params[paramDigest]}, previous, nil
}

// AcceptedPrefix begins the id of a reference that an ACCEPT_REFERENCE made; the action's id follows.
const AcceptedPrefix = "accepted-"

func (r *resolver) accept(ctx context.Context, actionID string, params map[string]string) (map[string]string, *incident.Inverse, error) {
	now, err := r.targets.References.InForce(ctx)
	if err != nil {
		return nil, nil, err
	}
	params[paramReference] = AcceptedPrefix + actionID
	inverse := &incident.Inverse{Type: incident.RestoreReference, Params: map[string]string{paramReference: now}}
	return params, inverse, nil
}

// earlier resolves the return to a reference that was in force before, with its model if another one is in charge.
func (r *resolver) earlier(ctx context.Context, params map[string]string, since time.Time) (map[string]string, *incident.Inverse, error) {
	now, err := r.targets.References.InForce(ctx)
	if err != nil {
		return nil, nil, err
	}
	id, version, err := r.targets.References.Earlier(ctx, since)
	if err != nil {
		return nil, nil, err
	}
	if id == "" || id == now {
		return nil, nil, &Refused{Reason: "no earlier reference fits the recent rows"}
	}
	champion, previous, err := r.targets.Models.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	params[paramReference] = id
	back := map[string]string{paramReference: now}
	if version != 0 && version != champion.Version {
		checked, err := r.targets.Models.Check(ctx, version)
		if err != nil {
			return nil, nil, refusal(err)
		}
		setModel(params, checked, champion.Version)
		setModel(back, champion, previous.Version)
	}
	return params, &incident.Inverse{Type: incident.RestoreReference, Params: back}, nil
}

// restart resolves to the next life of the agent that is named, or that makes decisions late: of the instance that the signal
// names, or else of the one that is worst.
func (r *resolver) restart(ctx context.Context, in incident.Incident, params map[string]string) (map[string]string, *incident.Inverse, error) {
	agent, instance := params[paramAgent], ""
	switch {
	case agent == "":
		var err error
		if agent, instance, err = r.targets.Agents.Slowest(ctx); err != nil {
			return nil, nil, err
		}
	case in.Kind == incident.AgentDown && agent == in.Target:
		instance = in.Signal.Instance
	}
	instance, now, err := r.targets.Agents.Incarnation(ctx, agent, instance)
	if err != nil {
		return nil, nil, err
	}
	params[paramAgent], params[paramInstance], params[paramLeast] = agent, instance, strconv.FormatInt(now+1, 10)
	return params, nil, nil
}
