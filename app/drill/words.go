package drill

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aura/agents/fault"
	"aura/healing/incident"
)

// What steps say beside their time.

// seen says what was detected, as the signal was then.
func seen(in incident.Incident) string {
	if in.Seen == nil || in.Seen.Words == "" {
		return in.Kind + " of " + in.Target
	}
	return in.Seen.Words
}

func approver(a incident.Action) string {
	if a.Approver != "" && a.Approver != "governance" {
		return "by " + a.Approver
	}
	return "rule " + a.Rule
}

// no is how governance refused an action.
func no(a incident.Action) string { return orElse(a.Reason, "denied by "+a.Rule) }

// verdict says what the healing was shown by.
func verdict(in incident.Incident) string {
	for _, a := range slices.Backward(in.Actions) {
		if a.Result == incident.Verified && a.Purpose == incident.Forward && a.Verdict != nil {
			return orElse(a.Verdict.Reason, string(a.Verdict.State))
		}
	}
	return ""
}

func learned(c Case) string {
	var held, not []string
	for _, a := range c.Actions {
		if _, ok := c.Learned[a.ID]; !ok || a.Purpose != incident.Forward {
			continue
		}
		if a.Result == incident.Verified {
			held = append(held, a.Type)
		} else {
			not = append(not, a.Type)
		}
	}
	var parts []string
	if len(not) > 0 {
		parts = append(parts, strings.Join(not, ", ")+" did not hold")
	}
	if len(held) > 0 {
		parts = append(parts, strings.Join(held, ", ")+" healed "+c.Kind)
	}
	return strings.Join(parts, "; ")
}

// text is what a training came to.
func (g Gate) text() string {
	if g.Outcome == "" {
		return ""
	}
	return g.Outcome + orNothing(": ", g.Reason)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// describe tells a fault in a few words.
func describe(f fault.Fault) string {
	text := string(f.Kind) + " of " + f.Target
	switch {
	case f.Kind == fault.Latency:
		text = fmt.Sprintf("%s into the %s agent", f.Delay, f.Target)
	case f.Mean != nil:
		text += fmt.Sprintf(": %s to a mean of %g", f.Feature, *f.Mean)
	case f.Category != "":
		text += fmt.Sprintf(": %s to %s", f.Feature, f.Category)
	case f.Feature != "":
		text += fmt.Sprintf(": %s times %g plus %g", f.Feature, cmp.Or(f.Scale, 1), f.Shift)
	}
	if f.Share > 0 && f.Share < 1 {
		text += fmt.Sprintf(", share %g", f.Share)
	}
	return text
}

// injectedOf is a fault for the record.
func injectedOf(f fault.Fault) Injected {
	out := Injected{Kind: string(f.Kind), Target: f.Target, Share: f.Share, At: f.CreatedAt}
	if f.Delay > 0 {
		out.Delay = f.Delay.String()
	}
	change := map[string]any{}
	if f.Feature != "" {
		change["feature"] = f.Feature
	}
	if f.Mean != nil {
		change["mean"] = *f.Mean
	}
	if f.Scale != 0 {
		change["scale"] = f.Scale
	}
	if f.Shift != 0 {
		change["shift"] = f.Shift
	}
	if f.Category != "" {
		change["category"] = f.Category
	}
	if len(change) > 0 {
		out.Change = change
	}
	return out
}
