package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"aura/agents/event"
	"aura/healing/detect"
)

const (
	// watchFor is how long a watch lives without being asked for again.
	watchFor = 15 * time.Second
	// maxWatches bounds the verifications at once.
	maxWatches = 64
)

// watch is one verification under way.
type watch struct {
	detect.Watch
	asked   time.Time
	rates   *detect.Verification
	drift   *detect.DriftCheck
	ref     *detect.Reference
	finding detect.Finding
	before  map[string]bool // signals that were confirmed when it began
}

// watch begins a verification, or keeps one alive.
func (c *core) watch(e *event.IncidentEntry) error {
	var w detect.Watch
	if err := json.Unmarshal(e.Detail, &w); err != nil {
		return fmt.Errorf("monitoring: a watch can't be read: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.watches[w.ActionID]; known != nil && known.Watch == w {
		known.asked = c.Now()
		return nil
	}
	if len(c.watches) >= maxWatches {
		return fmt.Errorf("monitoring: %d verifications are under way; no more", maxWatches)
	}
	c.watches[w.ActionID] = &watch{Watch: w, asked: c.Now(), finding: detect.Pending}
	return nil
}

// begin prepares what couldn't be prepared when it was asked for.
func (w *watch) begin(ctx context.Context, c *core, now time.Time, signals []detect.Signal) error {
	if w.before == nil {
		w.before = map[string]bool{}
		for _, s := range signals {
			w.before[s.Fingerprint()] = s.State == detect.Confirmed
		}
	}
	if w.rates != nil || w.drift != nil {
		return nil
	}
	if w.Kind == detect.DataDrift {
		r := c.Reference()
		if w.Reference != "" && (r == nil || r.ID != w.Reference) {
			var err error
			if r, err = c.Load(ctx, w.Reference); err != nil {
				return fmt.Errorf("monitoring: verify against reference %s: %w", w.Reference, err)
			}
		}
		if r == nil {
			return nil
		}
		w.ref, w.drift = r, detect.NewDriftCheck(r, w.Since)
		return nil
	}
	v, err := detect.NewVerification(w.Kind, w.Target, w.Since, c.Config, c.desired(ctx),
		detect.VerifyOptions{Shadow: w.Shadow, Incarnation: w.Incarnation, Instance: w.Instance, Dwell: w.Dwell, Was: w.Was})
	if err != nil {
		return fmt.Errorf("monitoring: verify: %w", err)
	}
	w.rates = v
	return nil
}

func (w *watch) step(now time.Time, s detect.Slot) {
	if w.rates != nil {
		w.rates.Step(now, s)
	}
	if w.drift != nil {
		_ = w.drift.Step(now, s) // counts against another reference are none of this check's
	}
}

// verdicts says what each verification has found; changed tells that one has found something new.
func (c *core) verdicts(ctx context.Context, now time.Time, signals []detect.Signal) (out []detect.WatchVerdict, changed bool) {
	if len(c.watches) == 0 {
		return nil, false
	}
	explained := consequences(detect.Rank(signals, c.scene))
	for id, w := range c.watches {
		if now.Sub(w.asked) > watchFor {
			delete(c.watches, id)
			continue
		}
		if err := w.begin(ctx, c, now, signals); err != nil {
			c.Log.Warn("a verification can't begin", "action", w.ActionID, "err", err)
			continue
		}
		v := detect.WatchVerdict{IncidentID: w.IncidentID, ActionID: w.ActionID, Worse: w.worse(signals, explained)}
		switch {
		case w.rates != nil:
			w.rates.Heed(signals)
			v.Verdict = w.rates.Verdict(now)
		case w.drift != nil:
			v.PSI = true
			v.Verdict = w.drift.Verdict(now, w.ref, c.Config.Drift, c.View.Current().Champion, w.Target, w.others(signals, c.scene.Open))
		default:
			continue
		}
		changed = changed || v.Finding != w.finding
		w.finding = v.Finding
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b detect.WatchVerdict) int { return strings.Compare(a.ActionID, b.ActionID) })
	return out, changed
}

// consequences are the signals that another one explains.
func consequences(causes []detect.Cause) map[string]bool {
	out := map[string]bool{}
	for _, cause := range causes {
		if cause.Of != "" {
			out[cause.Signal.Fingerprint()] = true
		}
	}
	return out
}

// others are the features beside the one verified that drift for themselves: confirmed, or with an incident of their own.
func (w *watch) others(signals []detect.Signal, open map[string]bool) map[string]bool {
	out := map[string]bool{}
	for _, s := range signals {
		if feature(s) && s.Target != w.Target && (s.State == detect.Confirmed || open[s.Fingerprint()]) {
			out[s.Target] = true
		}
	}
	return out
}

// feature reports whether a signal is the drift of a feature.
func feature(s detect.Signal) bool {
	return s.Kind == detect.DataDrift && s.Target != detect.TargetScore
}

// worse is another signal that is confirmed now, wasn't when the verification began, and may be the action's doing: it did
// not begin before the action, and nothing else explains it. A second fault must not undo what healed the first; who applies
// is no action's doing, and a feature that drifts has an incident of its own. So has another agent that goes down after a
// restart, which could not be taken back either.
func (w *watch) worse(signals []detect.Signal, explained map[string]bool) string {
	own := string(w.Kind) + ":" + w.Target
	for _, s := range signals {
		name := s.Fingerprint()
		if s.State != detect.Confirmed || name == own || w.before[name] || explained[name] || feature(s) {
			continue
		}
		if w.Incarnation != 0 && s.Kind == detect.AgentDown {
			continue
		}
		if earlier := !s.Onset.IsZero() && s.Onset.Before(w.Since); !earlier {
			return name
		}
	}
	return ""
}
