package incident

import "time"

const (
	// shortWait: what may be asked again within it is waited for. Beyond it a rung that could act now comes first.
	shortWait = 10 * time.Second
	// longestWait: what may be asked only after it counts as refused.
	longestWait = 2 * time.Minute
)

// waits: the rung is to be asked for later. One that lies further ahead than anything is waited for comes from a clock
// that was moved.
func (r Rung) waits(now time.Time) bool {
	left := r.NotBefore.Sub(now)
	return left > 0 && left <= longestWait
}

// askWhenAllowed keeps a follow-up that was denied only until a time. What its rung did before it stands meanwhile.
func (x *step) askWhenAllowed() string {
	a, at := x.in.current(), x.ev.Decision.RetryAt
	text := a.Type + " " + x.denial()
	x.askAnew(a)
	a.NotBefore = at
	return text + "; asked again in " + at.Sub(x.now).Round(time.Millisecond).String()
}

// askLater keeps a rung that was denied only until a time: it is the next one again if that is soon or none is left after
// it, else it comes again at the ladder's end. Empty: it is over with it. What it needs is tested again with the new request.
func (x *step) askLater(at time.Time) string {
	in := x.in
	denied := in.RungIndex - 1 // reject has gone on
	wait := at.Sub(x.now)
	if at.IsZero() || wait > longestWait || denied < 0 || denied >= len(in.Ladder) || in.Ladder[denied].Waits >= in.Settings.MaxAsks {
		return ""
	}
	r := in.Ladder[denied]
	r.NotBefore = at
	r.Waits++
	text := "asked again in " + max(0, wait).Round(time.Millisecond).String()
	if wait <= shortWait || in.RungIndex == len(in.Ladder) {
		in.RungIndex, in.Ladder[denied] = denied, r
		return text
	}
	in.Ladder[denied].Waits = r.Waits
	in.Ladder = append(in.Ladder, r)
	return text + ", after the other rungs"
}
