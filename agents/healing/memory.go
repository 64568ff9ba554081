package healing

import (
	"context"
	"encoding/json"
	"time"

	"aura/healing/incident"
	"aura/healing/memory"
	"aura/healing/playbook"
	"aura/store"
)

// doneNothing stands for the action where an incident ended before anything was done.
const doneNothing = "NONE"

// memoryRow is what an action was worth.
func memoryRow(in incident.Incident, f incident.Effect) store.Memory {
	m := *f.Memory
	row := store.Memory{
		Kind: m.Kind, Target: in.Target, ActionType: m.Action, IncidentID: in.ID, ActionID: m.ActionID, Healed: m.Held && m.NoCredit == "",
		Took: time.Duration(m.Seconds * float64(time.Second)), Document: encode(m), At: m.At,
	}
	if m.Action == "" {
		row.ActionType, row.ActionID = doneNothing, f.ID
	}
	return row
}

// remembered is how many outcomes of a kind are looked at.
const remembered = 500

// ladder is the playbook's for a kind of incident, as memory ranks it, with the reason.
func (c *core) ladder(ctx context.Context, s incident.Signal) ([]incident.Rung, string, error) {
	outcomes, err := Outcomes(ctx, c.o.Store, s.Kind)
	if err != nil {
		return nil, "", err
	}
	ranked, why := Ranked(c.o.Playbook(), outcomes, s.Kind, s.Fingerprint, c.o.Now())
	out := make([]incident.Rung, len(ranked))
	for i, r := range ranked {
		out[i] = rungOf(r)
	}
	return out, why, nil
}

// Outcomes are what is remembered of a kind of incident, the newest first, as memory ranks by it. What a person judged
// needless earns no credit.
func Outcomes(ctx context.Context, s *store.Store, kind string) ([]memory.Outcome, error) {
	rows, err := s.Memories(ctx, kind, remembered)
	if err != nil {
		return nil, err
	}
	needless, err := Verdicts(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []memory.Outcome
	for _, r := range rows {
		var m incident.Memory
		if json.Unmarshal(r.Document, &m) != nil {
			continue // memory only ranks: a row that can't be read ranks nothing
		}
		out = append(out, memory.Outcome{
			Kind: m.Kind, Class: m.Fingerprint, Action: m.Action, ActionID: m.ActionID, Held: m.Held,
			SelfRecovered: m.NoCredit != "" || m.SelfRecovered || needless[m.ActionID], Before: m.Before, After: m.After, Seconds: m.Seconds, At: m.At,
		})
	}
	return out, nil
}

// Ranked is the ladder with which an incident of a kind and class would begin now, and why it has this order.
func Ranked(book playbook.Playbook, outcomes []memory.Outcome, kind, class string, now time.Time) ([]playbook.Rung, string) {
	why := ""
	ranked := book.Ladder(kind, func(actions []string) (order []int, reasons []string) {
		positions := memory.Rank(actions, outcomes, kind, class, now)
		for _, p := range positions {
			order, reasons = append(order, p.Configured), append(reasons, p.Reason)
		}
		why = memory.Explain(positions)
		return order, reasons
	})
	return ranked, why
}

func rungOf(r playbook.Rung) incident.Rung {
	return incident.Rung{
		Action: r.Action, Params: r.Params, Requires: r.Requires, Verification: r.Verification, Then: r.Then, Protect: r.Protect,
		ExecuteTTL: r.ExecuteWithin, VerifyTTL: r.VerifyWithin, Dwell: r.Dwell, Cooldown: r.Cooldown, Why: r.Why,
	}
}
