package app

import (
	"context"
	"math"
	"slices"
	"time"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// maxScored bounds how many incidents one scoreboard reads.
const maxScored = 5000

// recoveryTargets are what recovery may take from detection, in seconds.
var recoveryTargets = map[string]float64{
	incident.LatencySLOBreach: 60, incident.PerfDrop: 120, incident.DataDrift: 300, incident.AgentDown: 60,
}

// Scoreboard implements api.Incidents. Faults are joined here, afterwards, and nowhere else: who heals never sees them.
func (b *incidentsBackend) Scoreboard(ctx context.Context, window time.Duration) (api.Scoreboard, error) {
	at := now()
	out := api.Scoreboard{At: at, From: at.Add(-window), WindowS: window.Seconds()}
	var err error
	if out.SLO, err = b.slo(ctx, out.From); err != nil {
		return out, refusal(err)
	}
	faults, err := b.faultRecords(ctx, out.From)
	if err != nil {
		return out, err
	}
	verdicts, err := healing.Verdicts(ctx, b.store)
	if err != nil {
		return out, refusal(err)
	}
	all := &tally{kind: "ALL", verdicts: verdicts}
	kinds := []*tally{all}
	for _, k := range []string{incident.LatencySLOBreach, incident.PerfDrop, incident.DataDrift, incident.AgentDown, incident.BusDown} {
		kinds = append(kinds, &tally{kind: k, verdicts: verdicts})
	}
	after, n := "", 0
	for {
		rows, err := b.store.Incidents(ctx, store.IncidentFilter{DetectedSince: out.From}, after, 200)
		if err != nil {
			return out, refusal(err)
		}
		for _, r := range rows {
			in := documentOf(r)
			for _, t := range kinds {
				if t == all || t.kind == r.Type {
					t.add(r, in, faults)
				}
			}
		}
		if n += len(rows); n >= maxScored || len(rows) < 200 {
			out.Truncated = n >= maxScored
			break
		}
		after = rows[len(rows)-1].ID
	}
	for _, t := range kinds {
		out.Items = append(out.Items, t.score())
	}
	return out, nil
}

// tally is what one line of the scoreboard counts.
type tally struct {
	kind               string
	incidents, open    int
	detection, onset   []float64 // seconds
	ended, healed      int64
	executed, needless int64
	verdicts           map[string]bool // of people: needless or not, by action id
}

func (t *tally) add(r store.IncidentRow, in incident.Incident, faults []faultRecord) {
	if in.State == incident.Cancelled && in.DetectedAt.IsZero() && in.ID != "" {
		return // a suspicion that was never confirmed is no incident
	}
	t.incidents++
	ended := r.Status == store.IncidentResolved || r.Status == store.IncidentFailed
	if !ended {
		t.open++
	}
	for _, a := range in.Actions {
		if a.ExecutedAt.IsZero() || a.Purpose != incident.Forward {
			continue
		}
		t.executed++
		needless, said := t.verdicts[a.ID]
		if said && needless || !said && a.NoCredit == incident.NoCreditSelf {
			t.needless++
		}
	}
	before := time.Time{} // the end of the recovery before
	for _, e := range episodesOf(r, in) {
		if !e.recovered && !e.acted {
			continue // it ended before anything was done: neither success nor failure of ours
		}
		t.ended++
		if e.recovered && !e.called {
			t.healed++
		}
		if !e.recovered {
			continue
		}
		t.detection = append(t.detection, e.end.Sub(e.begin).Seconds())
		if f, ok := explains(faults, r, e.begin); ok && f.At.After(before) {
			t.onset = append(t.onset, e.end.Sub(f.At).Seconds())
		}
		before = e.end
	}
}

// episode is one time that an incident was detected and has ended; after a relapse comes another.
type episode struct {
	begin, end time.Time
	recovered  bool // by an action
	acted      bool // an action was executed, or it failed for want of one
	called     bool // a person was
}

// credited: an action of ours ended the incident then.
func credited(in incident.Incident, at time.Time) bool {
	return slices.ContainsFunc(in.Actions, func(a incident.Action) bool {
		return a.Result == incident.Verified && a.NoCredit == "" && a.EndedAt.Equal(at)
	})
}

// episodesOf are the times that an incident was detected and has ended, but for those that a person took over. One whose end
// the timeline has dropped is left out.
func episodesOf(r store.IncidentRow, in incident.Incident) []episode {
	begins := append(slices.Clone(in.Detections), r.DetectedAt)
	var out []episode
	for i, begin := range begins {
		if i == len(begins)-1 {
			ended := r.Status == store.IncidentResolved || r.Status == store.IncidentFailed
			if ended && in.State != incident.Superseded {
				e := episode{begin: begin, end: r.ResolvedAt}.with(in, i == 0, time.Time{})
				e.recovered = r.Status == store.IncidentResolved && !in.SelfRecovered
				e.acted = e.acted || r.Status == store.IncidentFailed
				out = append(out, e)
			}
			break
		}
		for _, step := range in.Timeline {
			if over := step.State == incident.Resolved || step.State == incident.Degraded || step.State == incident.Cancelled; over && !step.At.Before(begin) && step.At.Before(begins[i+1]) {
				e := episode{begin: begin, end: step.At}.with(in, i == 0, begins[i+1])
				e.recovered = step.State != incident.Cancelled && credited(in, step.At)
				out = append(out, e)
				break
			}
		}
	}
	return out
}

// with tells what was done in an episode, which the next one ends, if there is one. What the suspicion before the first
// detection brought belongs to it.
func (e episode) with(in incident.Incident, first bool, next time.Time) episode {
	within := func(at time.Time) bool {
		return (first || !at.Before(e.begin)) && (next.IsZero() || at.Before(next))
	}
	e.acted = slices.ContainsFunc(in.Actions, func(a incident.Action) bool {
		return a.Purpose == incident.Forward && !a.ExecutedAt.IsZero() && within(a.ExecutedAt)
	})
	e.called = slices.ContainsFunc(in.Timeline, func(s incident.Entry) bool { return s.State == incident.Escalated && within(s.At) })
	return e
}

func (t *tally) score() api.Score {
	return api.Score{
		Type: t.kind, Incidents: t.incidents, Open: t.open, FromDetection: timesOf(t.detection), FromOnset: timesOf(t.onset),
		Success: shareOf(t.healed, t.ended), Needless: shareOf(t.needless, t.executed), TargetS: recoveryTargets[t.kind],
	}
}

func shareOf(count, n int64) api.Share {
	s := api.Share{Count: count, N: n}
	if n > 0 {
		v := float64(count) / float64(n)
		s.Share = &v
	}
	return s
}

// timesOf are nearest-rank quantiles.
func timesOf(seconds []float64) api.Times {
	t := api.Times{N: len(seconds)}
	if t.N == 0 {
		return t
	}
	slices.Sort(seconds)
	at := func(q float64) *float64 {
		v := max(seconds[int(math.Ceil(q*float64(t.N)))-1], 0)
		return &v
	}
	t.P50S, t.P95S = at(.5), at(.95)
	return t
}
