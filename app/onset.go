package app

import (
	"context"
	"encoding/json"
	"time"

	"aura/agents/fault"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// Faults are joined to incidents here, afterwards, and nowhere else.

// kindFaultInjected is the audit's kind of an injected fault.
const kindFaultInjected = "fault.injected"

// faultRecord is a fault as the audit keeps it.
type faultRecord struct {
	At      time.Time
	Kind    fault.Kind `json:"kind"`
	Target  string     `json:"target"`
	Feature string     `json:"feature"`
	Expires time.Time  `json:"expires_at"`
}

// faultLag is how long after its end a fault may still be detected: outcomes come late.
const faultLag = time.Minute

func (b *incidentsBackend) faultRecords(ctx context.Context, from time.Time) ([]faultRecord, error) {
	var out []faultRecord
	for before := int64(0); ; {
		rows, err := b.store.Audit(ctx, store.AuditFilter{Kind: kindFaultInjected}, before, 200)
		if err != nil {
			return nil, refusal(err)
		}
		for _, r := range rows {
			f := faultRecord{At: r.At}
			if r.At.Before(from) || json.Unmarshal(r.Detail, &f) != nil {
				continue
			}
			out = append(out, f)
		}
		if len(rows) < 200 || rows[len(rows)-1].At.Before(from) {
			return out, nil
		}
		before = rows[len(rows)-1].Seq
	}
}

// explains finds the fault that a recovery is from: one that can show itself so, injected before it was detected and not
// long ended. One on the incident's very target comes before one that only reached it; then the latest counts.
func explains(faults []faultRecord, r store.IncidentRow, detected time.Time) (faultRecord, bool) {
	best, of := shownNot, faultRecord{}
	for _, f := range faults { // latest first
		if f.At.After(detected) || detected.After(f.Expires.Add(faultLag)) {
			continue
		}
		if n := f.shows(r.Type, r.Target); n > best {
			best, of = n, f
		}
	}
	return of, best > shownNot
}

// How well a fault explains an incident: not at all, by reaching its target, or as one on it.
const (
	shownNot = iota
	shownFarther
	shownThere
)

func (f faultRecord) shows(kind, target string) int {
	score := kind == incident.DataDrift && target == detect.TargetScore
	switch f.Kind {
	case fault.Latency, fault.Error, fault.Crash, fault.Hang:
		switch {
		case kind == incident.AgentDown && f.Target == target, kind == incident.LatencySLOBreach && f.Kind == fault.Latency:
			return shownThere
		case kind == incident.LatencySLOBreach:
			return shownFarther
		}
	case fault.Drift, fault.Missing, fault.Stuck, fault.Unit:
		switch {
		case kind == incident.DataDrift && f.Feature == target:
			return shownThere
		case score, kind == incident.PerfDrop:
			return shownFarther
		}
	case fault.Noise, fault.Flip, fault.BadModel:
		switch {
		case kind == incident.PerfDrop:
			return shownThere
		case score && f.Kind == fault.BadModel:
			return shownFarther
		}
	}
	return shownNot
}
