package api

import (
	"testing"
	"time"
)

// TestSinceCountsFromTheEpisode: what was before a relapse counts from its own detection, and nothing is ever negative.
func TestSinceCountsFromTheEpisode(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 29, 9, 0, s, 0, time.UTC) }
	once := IncidentDetail{Incident: Incident{OnsetAt: at(10), DetectedAt: at(12)}}
	twice := once
	twice.EarlierDetectedAt = []time.Time{at(2), at(6)}
	twice.Timeline = []TimelineStep{{At: at(1)}, {At: at(2)}}
	for _, c := range []struct {
		name    string
		d       IncidentDetail
		at      int
		seconds float64
		episode int
		known   bool
	}{
		{"from the onset", once, 12, 2, 1, true},
		{"before it", once, 9, 0, 0, false},
		{"onset unknown", IncidentDetail{Incident: Incident{DetectedAt: at(12)}}, 13, 1, 1, true},
		{"the suspicion", twice, 1, 0, 1, true},
		{"the first time", twice, 5, 4, 1, true},
		{"the second time", twice, 9, 3, 2, true},
		{"the newest", twice, 10, 0, 3, true},
	} {
		seconds, episode, known := c.d.Since(at(c.at))
		if seconds != c.seconds || episode != c.episode || known != c.known {
			t.Errorf("%s: %v, %d, %v", c.name, seconds, episode, known)
		}
	}
	if _, _, known := once.Since(time.Time{}); known {
		t.Error("what never was has a time")
	}
}

// TestWhatEndedByItselfRecoveredFromNothing: the scoreboard counts no recovery of it, so no list shows one; a dry run ends so.
func TestWhatEndedByItselfRecoveredFromNothing(t *testing.T) {
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		n    Incident
		took float64
		why  string
	}{
		{Incident{State: "DETECTED", DetectedAt: at}, 0, ""},
		{Incident{State: "RESOLVED", DetectedAt: at, ResolvedAt: at.Add(4 * time.Second)}, 4, ""},
		{Incident{State: "CANCELLED", DetectedAt: at}, 0, "never confirmed"},
		{Incident{State: "CANCELLED", DetectedAt: at, ResolvedAt: at.Add(time.Second), SelfRecovered: true}, 0, "by itself"},
		{Incident{State: "RESOLVED", DetectedAt: at, ResolvedAt: at.Add(time.Second), SelfRecovered: true}, 0, "by itself"},
	} {
		if took, why := c.n.Recovery(); took != c.took || why != c.why {
			t.Errorf("%+v: %v %q", c.n, took, why)
		}
	}
}
