package monitoring

import (
	"fmt"
	"time"

	"aura/healing/detect"
)

// shadowView judges the model by the trickle beside safe mode: what came back of late, and how fast; and what did not come
// back, since answers alone show only what the fault left alone: attempts that failed, and handlers that are at work for
// longer than an answer may take.
type shadowView struct{ seconds []shadowSecond }

type shadowSecond struct {
	at             time.Time
	n, bad         int64
	right, labeled int64
}

func (s *shadowSecond) add(x shadowSecond) {
	s.n, s.bad, s.labeled, s.right = s.n+x.n, s.bad+x.bad, s.labeled+x.labeled, s.right+x.right
}

const (
	// shadowWindow is looked at in any case. Where it holds fewer answers than shadowLeast, the ones before it count too:
	// the trickle is five a second, but only where as many applications come.
	shadowWindow = 3 * time.Second
	shadowLeast  = 8
	// shadowLongest is how old an answer may be. Of fewer than sixteen a minute nothing is told: with those, the model's
	// return couldn't be verified in its time either, and would be undone.
	shadowLongest = 30 * time.Second
)

func (v *shadowView) step(now time.Time, s detect.Slot, slo time.Duration) {
	if s.Desired.Mode != detect.ModeSafe {
		v.seconds = nil
		return
	}
	var x shadowSecond
	for _, d := range s.Decisions {
		if d.Shadow {
			x.n += d.Fast + d.Slow + d.Failed
			x.bad += d.Slow + d.Failed
		}
	}
	for _, a := range s.Attempts {
		if a.Agent == shadowAgent {
			x.bad += a.Failures
		}
	}
	for _, b := range s.Beats {
		if b.Agent == shadowAgent && b.HandlerAge > slo {
			x.bad++
		}
	}
	for _, o := range s.Outcomes {
		if o.Shadow {
			x.labeled += o.N
			x.right += o.Correct
		}
	}
	if len(v.seconds) == 0 || now.Sub(v.seconds[len(v.seconds)-1].at) >= time.Second {
		v.seconds = append(v.seconds, shadowSecond{at: now})
	}
	v.seconds[len(v.seconds)-1].add(x)
	v.forget(now)
}

// forget drops what is older than the window and not needed to tell.
func (v *shadowView) forget(now time.Time) {
	n := v.sum().n
	for len(v.seconds) > 0 {
		oldest := v.seconds[0]
		age := now.Sub(oldest.at)
		if age <= shadowWindow || age <= shadowLongest && n-oldest.n < shadowLeast {
			return
		}
		n -= oldest.n
		v.seconds = v.seconds[1:]
	}
}

func (v *shadowView) sum() (all shadowSecond) {
	for _, s := range v.seconds {
		all.add(s)
	}
	return all
}

// silent says that no answer has come for longer than the window and than two usual gaps between answers.
func (v *shadowView) silent(now time.Time) bool {
	var first, last time.Time
	for _, s := range v.seconds {
		if s.n == 0 {
			continue
		}
		if first.IsZero() {
			first = s.at
		}
		last = s.at
	}
	gap := last.Sub(first) / time.Duration(max(v.sum().n, 1))
	return now.Sub(last) > max(shadowWindow, 2*gap)
}

// shadowAgent is whose work beside safe mode is judged.
const shadowAgent = "model"

// report says HEALTHY only on enough answers that are all in time, with nothing that failed or is held up.
func (v *shadowView) report(now time.Time) detect.ShadowReport {
	all := v.sum()
	r := detect.ShadowReport{State: detect.Unknown, N: all.n, Numbers: map[string]float64{
		"answers": float64(all.n), "late_or_failed": float64(all.bad), "outcomes": float64(all.labeled), "correct": float64(all.right),
	}}
	switch {
	case all.bad > 0:
		r.State, r.Reason = detect.Confirmed, fmt.Sprintf("beside safe mode the model was late or failed %d times, with %d answers", all.bad, all.n)
	case all.n < shadowLeast:
		r.Reason = fmt.Sprintf("%d answers of the model beside safe mode, too few to tell", all.n)
	case v.silent(now):
		r.Reason = fmt.Sprintf("%d answers of the model beside safe mode, and then no more", all.n)
	default:
		r.State, r.Reason = detect.Healthy, fmt.Sprintf("%d answers of the model beside safe mode, all in time", all.n)
	}
	return r
}
