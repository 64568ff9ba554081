package detect

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestCheckpointGoesOnAsIfNothingHappened(t *testing.T) {
	a, b := newService(t, 15, 12_000), newService(t, 15, 12_000)
	drifted := func(r *rand.Rand) []float64 { v := normalRow(r); v[0] -= 60; return v }
	for i := range 400 {
		if i == 200 {
			a.row, b.row = drifted, drifted
		}
		a.run(step)
		b.run(step)
		if i%37 != 0 {
			continue
		}
		raw, err := json.Marshal(b.m)
		if err != nil {
			t.Fatal(err)
		}
		reference, err := json.Marshal(b.ref)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := NewMonitor(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		var ref Reference
		if err := json.Unmarshal(reference, &ref); err != nil {
			t.Fatal(err)
		}
		if err := fresh.Restore(raw, &ref); err != nil {
			t.Fatal(err)
		}
		fresh.rows = b.m.rows // the sample alone is not kept
		b.m, b.ref = fresh, &ref
		if x, y := a.m.Signals(a.now), b.m.Signals(b.now); !reflect.DeepEqual(jsonOf(t, x), jsonOf(t, y)) {
			t.Fatalf("slot %d:\n%s\n%s", i, jsonOf(t, x), jsonOf(t, y))
		}
	}
	a.want(DataDrift, "credit_score", Confirmed)
	if x, y := jsonOf(t, a.m.Signals(a.now)), jsonOf(t, b.m.Signals(b.now)); x != y {
		t.Fatalf("at the end:\n%s\n%s", x, y)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRestoreRefusesRubbish(t *testing.T) {
	m, _ := NewMonitor(DefaultConfig())
	for _, raw := range []string{"", "{}", `{"state":{"latency":{"slow":{"r":[1]}}}}`, "[]"} {
		if err := m.Restore([]byte(raw), nil); err == nil {
			t.Errorf("%q was taken for a checkpoint", raw)
		}
	}
}
