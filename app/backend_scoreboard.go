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
	acted, lately, credit := int64(0), false, false
	for _, a := range in.Actions {
		if a.ExecutedAt.IsZero() || a.Purpose != incident.Forward {
			continue
		}
		acted++
		lately = lately || !a.ExecutedAt.Before(in.DetectedAt)
		credit = credit || a.Result == incident.Verified && a.NoCredit == ""
		needless, said := t.verdicts[a.ID]
		if said && needless || !said && a.NoCredit == incident.NoCreditSelf {
			t.needless++
		}
	}
	t.executed += acted
	if !ended || in.State == incident.Superseded || in.SelfRecovered && acted == 0 {
		return // a person took it over, or it ended before anything was done: neither success nor failure of ours
	}
	t.ended++
	healed := !in.SelfRecovered || !lately && credit // healed, and came back only to end before anything was done
	if r.Status == store.IncidentResolved && in.Escalations == 0 && healed {
		t.healed++
	}
	t.recovered(r, in, faults)
}

// recovered counts how long each recovery took: the first from detection, the others from their relapse.
func (t *tally) recovered(r store.IncidentRow, in incident.Incident, faults []faultRecord) {
	before := time.Time{} // the end of the recovery before
	for _, e := range episodesOf(r, in) {
		t.detection = append(t.detection, e.end.Sub(e.begin).Seconds())
		if f, ok := explains(faults, r, e.begin); ok && f.At.After(before) {
			t.onset = append(t.onset, e.end.Sub(f.At).Seconds())
		}
		before = e.end
	}
}

// episode is one recovery of an incident.
type episode struct{ begin, end time.Time }

// credited: an action of ours ended the incident then.
func credited(in incident.Incident, at time.Time) bool {
	return slices.ContainsFunc(in.Actions, func(a incident.Action) bool {
		return a.Result == incident.Verified && a.NoCredit == "" && a.EndedAt.Equal(at)
	})
}

// episodesOf are an incident's recoveries. What ended by itself is none; one whose end the timeline has dropped is left out.
func episodesOf(r store.IncidentRow, in incident.Incident) []episode {
	begins := append(slices.Clone(in.Detections), r.DetectedAt)
	var out []episode
	for i, begin := range begins {
		last := i == len(begins)-1
		if last && r.Status == store.IncidentResolved && !in.SelfRecovered {
			out = append(out, episode{begin, r.ResolvedAt})
		}
		if last {
			break
		}
		for _, e := range in.Timeline {
			if ended := e.State == incident.Resolved || e.State == incident.Degraded || e.State == incident.Cancelled; ended && !e.At.Before(begin) && e.At.Before(begins[i+1]) {
				if e.State != incident.Cancelled && credited(in, e.At) {
					out = append(out, episode{begin, e.At})
				}
				break
			}
		}
	}
	return out
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
