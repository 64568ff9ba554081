package app

import (
	"context"
	"slices"
	"time"

	"aura/agents/healing"
	"aura/healing/playbook"
	"aura/web/api"
)

// operationsBackend answers for what operators change in a running process, and for the playbook in force.
type operationsBackend struct{ healer *healer }

// Playbook implements api.Operations.
func (b *operationsBackend) Playbook(context.Context) (api.Playbook, error) {
	f := b.healer.force.Load()
	out := api.Playbook{Digest: f.playbook.Digest(), Policy: f.policy(), Profile: f.rules.Config.Profile}
	for _, kind := range playbook.Kinds {
		l := api.PlaybookLadder{Type: kind}
		for _, r := range f.playbook[kind] {
			l.Rungs = append(l.Rungs, rungInForce(r))
		}
		out.Items = append(out.Items, l)
	}
	return out, nil
}

func rungInForce(r playbook.Rung) api.PlaybookRung {
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	return api.PlaybookRung{
		Action: r.Action, Params: r.Params, Requires: r.Requires, Verification: r.Verification, Then: r.Then, Protect: r.Protect,
		ExecuteWithin: text(r.ExecuteWithin), VerifyWithin: text(r.VerifyWithin), Dwell: text(r.Dwell), Cooldown: text(r.Cooldown),
	}
}

// maxClasses bounds how many kinds of faults one answer ranks.
const maxClasses = 20

// Ranking implements api.Incidents: for each class of fault that there is memory of, the ladder with which its next
// incident would begin.
func (b *incidentsBackend) Ranking(ctx context.Context, kind string) ([]api.Ranking, error) {
	kinds := playbook.Kinds
	if kind != "" {
		kinds = []string{kind}
	}
	out, at := []api.Ranking{}, now()
	for _, k := range kinds {
		outcomes, err := healing.Outcomes(ctx, b.store, k)
		if err != nil {
			return nil, refusal(err)
		}
		var classes []string
		for _, o := range outcomes {
			if o.Action != "" && !slices.Contains(classes, o.Class) && len(classes) < maxClasses {
				classes = append(classes, o.Class)
			}
		}
		slices.Sort(classes)
		for _, class := range classes {
			rungs, why := healing.Ranked(b.playbook(), outcomes, k, class, at)
			if len(rungs) == 0 {
				continue
			}
			r := api.Ranking{Type: k, Class: class, Reason: why}
			for _, rung := range rungs {
				r.Rungs = append(r.Rungs, api.RankedRung{Action: rung.Action, Why: rung.Why})
			}
			out = append(out, r)
		}
	}
	return out, nil
}
