package incident

import (
	"cmp"
	"slices"
	"strings"
)

// maxCall bounds the text of a call, in characters.
const maxCall = 400

// callText is what a person is called with: why, what was tried last, and what is wrong, in words. It leaves the machine, so
// there is nothing in it that may come from an application.
func callText(in Incident) string {
	text := in.Kind + " " + in.Target + ": " + in.Reason
	for _, more := range []string{in.lastTried(), in.wrong()} {
		if more != "" && !strings.Contains(text, more) {
			text += "; " + more
		}
	}
	return cut(text, maxCall)
}

// askText is what a person is called with for an action that waits for a decision.
func askText(in Incident, a *Action) string {
	text := in.Kind + " " + in.Target + ": " + a.Type + " waits for a person's decision"
	if !a.ExpiresAt.IsZero() {
		text += " until " + clockTime(a.ExpiresAt)
	}
	text += ", then it is denied: aura approval ls"
	if more := in.wrong(); more != "" {
		text += "; " + more
	}
	return cut(text, maxCall)
}

// cut leaves so many characters of a text.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// lastTried says what came of the last action since the detection; "" for none, or where it is just that a person was called.
func (in Incident) lastTried() string {
	if len(in.Actions) == 0 {
		return ""
	}
	a := in.Actions[len(in.Actions)-1]
	for _, tried := range slices.Backward(in.Actions) { // a rung that was only passed over tells nothing of what was tried before
		if tried.ProposedAt.Before(in.Detected()) || in.Earlier(tried) {
			break
		}
		if tried.Result != Refused || !tried.DecidedAt.IsZero() {
			a = tried
			break
		}
	}
	if a.Undo == nil && (a.Result == HandedOver || a.Result == Withdrawn) || a.Result == "" || a.ProposedAt.Before(in.Detected()) || in.Earlier(a) {
		return ""
	}
	if a.Result == Denied {
		return a.Type + " " + a.Reason
	}
	why := a.Reason
	if a.Undo != nil {
		why = cmp.Or(a.Undo.Reason, why)
	}
	return a.Type + orNothing(": ", in.safe(strings.TrimPrefix(why, stillBad+": ")))
}

// wrong says what the signal shows; when it was confirmed, if it is quiet now.
func (in Incident) wrong() string {
	words := in.Signal.Words
	if s := in.Signal.State; s != Confirmed && s != Suspect && in.Seen != nil {
		words = cmp.Or(in.Seen.Words, words)
	}
	return in.safe(words)
}

// safe leaves out what an agent died of: a panic's text may tell of an application.
func (in Incident) safe(why string) string {
	if in.Kind == AgentDown {
		why, _, _ = strings.Cut(why, ": ")
	}
	return why
}
