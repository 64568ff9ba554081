package doctor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRun: probes run side by side, each within its time, and only a failure makes the whole unhealthy.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Probe{"slow", func(ctx context.Context) Finding {
			<-ctx.Done()
			return Bad("start it", "nothing answers")
		}}
		began := time.Now()
		r := Run(t.Context(), 3*time.Second, slow, Probe{"good", func(context.Context) Finding { return Good("%d of %d", 2, 2) }}, slow)
		if took := time.Since(began); took != 3*time.Second || r.Healthy {
			t.Errorf("took %v, healthy %v", took, r.Healthy)
		}
		var out strings.Builder
		if err := r.WriteTable(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ok      good  2 of 2\n", "no answer within 3s: nothing answers", "-> start it"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in\n%s", want, &out)
			}
		}
	})
	r := Run(t.Context(), time.Second, Probe{"a", func(context.Context) Finding { return Risk("do", "well\n\x1b[31mred") }},
		Probe{"b", func(context.Context) Finding { return NotUsed("b.url") }})
	var out strings.Builder
	if err := r.WriteTable(&out); err != nil || !r.Healthy || strings.ContainsRune(out.String(), 0x1b) {
		t.Errorf("%v, healthy %v, %q", err, r.Healthy, out.String())
	}
}
