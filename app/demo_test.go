package app

import (
	"testing"

	"aura/agents/fault"
	"aura/app/drill"
)

// TestACrashDrillHeals runs the shortest drill for real, on the whole process.
func TestACrashDrillHeals(t *testing.T) {
	a := healed(t, nil)
	r := drill.Runner{System: &drillSystem{a.parts, a.cfg}, Tell: func(s drill.Step) { t.Logf("+%.3f %s %s %s", s.SinceOnset, s.Name, s.Action, s.Text) }}
	out, err := r.Run(t.Context(), drill.Crash(fault.Model))
	if err != nil || !out.Healed {
		t.Fatalf("%v: %s", err, out.Reason)
	}
	if n := len(a.parts.Faults.List()); n > 0 {
		t.Errorf("%d faults are left", n)
	}
}
