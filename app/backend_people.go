package app

import (
	"context"

	"aura/agents/governance"
	"aura/agents/healing"
	"aura/app/config"
	"aura/healing/policy"
	"aura/web"
	"aura/web/api"
)

// agents are those of the loop that this process can reach, as the API needs them; nil where healing is off.
func (h *healer) agents(cfg config.Config) *loopAgents {
	if h.healing == nil || !selected(cfg, healing.Name) && !shared(cfg) {
		return nil
	}
	return &loopAgents{desk: desk{h.governance}, healing: h.healing, profile: h.profile, dryRun: cfg.Healing.DryRun}
}

// desk is governance as people see it.
type desk struct{ governance *governance.Agent }

// Decide implements approvalDesk.
func (d desk) Decide(ctx context.Context, by policy.Principal, requestID string, r api.Ruling) error {
	if r.Decision == policy.Modified {
		_, err := d.governance.Modify(ctx, by, requestID, r.Params, r.Reason)
		return err
	}
	_, err := d.governance.Decide(ctx, by, requestID, r.Decision, r.Reason)
	return err
}

// people knows who holds a token; nil where no principals are set up.
func (h *healer) people() web.Principals {
	if h.principals == nil {
		return nil
	}
	return tokens{h.principals}
}

type tokens struct{ known *governance.Principals }

// Principal implements web.Principals.
func (t tokens) Principal(token string) (api.Principal, bool) {
	p, err := t.known.Of(token)
	if err != nil {
		return api.Principal{}, false
	}
	out := api.Principal{Name: p.Name}
	for _, r := range p.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	return out, true
}
