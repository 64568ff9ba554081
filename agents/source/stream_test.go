package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/event"
)

// desk takes what a stream sends; refuse makes it unavailable for that many calls.
type desk struct {
	began    time.Time
	ids      []string
	at       []time.Duration
	outcomes map[string]event.Outcome
	known    []time.Duration
	refuse   int
	deaf     int // calls of Feedback that fail
	conflict string
	pause    time.Duration // before the 100th is taken, as of a process that is stopped and goes on
}

func (d *desk) Submit(_ context.Context, _ string, applications []Application) ([]string, error) {
	if d.refuse > 0 {
		d.refuse--
		return nil, errors.New("not now")
	}
	if len(d.ids) >= 100 {
		time.Sleep(d.pause)
		d.pause = 0
	}
	ids := make([]string, len(applications))
	for i, a := range applications {
		d.ids, d.at = append(d.ids, a.ID), append(d.at, time.Since(d.began))
		if a.ID != d.conflict {
			ids[i] = a.ID
		}
	}
	return ids, nil
}

func (d *desk) Feedback(_ context.Context, outcomes []Outcome) error {
	if d.deaf > 0 {
		d.deaf--
		return errors.New("not now")
	}
	for _, o := range outcomes {
		if _, twice := d.outcomes[o.ID]; twice {
			return fmt.Errorf("%s has an outcome already", o.ID)
		}
		d.outcomes[o.ID] = o.Outcome
		d.known = append(d.known, time.Since(d.began))
	}
	return nil
}

func rows(n int) func() (Application, error) {
	next := 0
	return func() (Application, error) {
		if next == n {
			return Application{}, io.EOF
		}
		next++
		return Application{ID: fmt.Sprint("r", next), Defaulted: next%3 == 0}, nil
	}
}

func stream(t *testing.T, d *desk, rate float64, n int) time.Duration {
	t.Helper()
	d.began, d.outcomes = time.Now(), map[string]event.Outcome{}
	s := &Stream{Name: "test", Intake: d, Next: rows(n), Rate: rate, OutcomeDelay: 5 * time.Second, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatalf("%v after %d were sent", err, len(d.ids))
	}
	return time.Since(d.began)
}

func TestStreamKeepsItsRateAndReportsEachOutcomeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d desk
		took := stream(t, &d, 50, 500)
		if len(d.ids) != 500 || len(d.outcomes) != 500 {
			t.Fatalf("%d sent, %d outcomes, want 500 of each", len(d.ids), len(d.outcomes))
		}
		if last := d.at[499]; last < 9*time.Second || last > 11*time.Second {
			t.Errorf("500 at 50/s took %s", last)
		}
		if took < 14*time.Second || took > 17*time.Second {
			t.Errorf("ended after %s, want the last outcome's time: about 15 s", took)
		}
		if d.outcomes["r3"] != event.Defaulted || d.outcomes["r4"] != event.Repaid {
			t.Errorf("outcomes: r3 %s, r4 %s", d.outcomes["r3"], d.outcomes["r4"])
		}
	})
}

// TestStreamKeepsALowRate: what comes once in minutes comes as well.
func TestStreamKeepsALowRate(t *testing.T) {
	for _, perMinute := range []float64{120, 30, 20, 1, 0.2} {
		synctest.Test(t, func(t *testing.T) {
			var d desk
			const n = 10
			stream(t, &d, perMinute/60, n)
			if len(d.at) != n {
				t.Fatalf("%v a minute: %d sent, want %d", perMinute, len(d.at), n)
			}
			want := time.Duration(n / perMinute * float64(time.Minute))
			if last := d.at[n-1]; last < want-time.Second || last > want+time.Second {
				t.Errorf("%d at %v a minute took %s, want %s", n, perMinute, last, want)
			}
		})
	}
}

// TestStreamGoesOnAtItsRateAfterAPause: a burst would be late by itself, and look like a fault.
func TestStreamGoesOnAtItsRateAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{pause: 6 * time.Second}
		stream(t, &d, 50, 500)
		for i := 110; i < len(d.at); i++ {
			if took := d.at[i] - d.at[i-10]; d.at[i-10] > 7*time.Second && took < 100*time.Millisecond {
				t.Fatalf("10 applications within %s, %s after the begin, at 50/s", took, d.at[i])
			}
		}
		if d.at[200]-d.at[99] < 6*time.Second {
			t.Error("the test sees no pause")
		}
	})
}

func TestStreamAtFullSpeedSendsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d desk
		stream(t, &d, 0, 10_000)
		if len(d.outcomes) != 10_000 {
			t.Errorf("%d outcomes of 10,000", len(d.outcomes))
		}
	})
}

func TestStreamLosesNothingWhileIntakeIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{refuse: 10}
		stream(t, &d, 100, 300)
		seen := map[string]bool{}
		for _, id := range d.ids {
			if seen[id] {
				t.Fatalf("%s was sent twice", id)
			}
			seen[id] = true
		}
		if len(seen) != 300 {
			t.Errorf("%d of 300 were sent", len(seen))
		}
		var most int
		for i, at := range d.at { // after the pause it goes on at the rate
			n := 0
			for j := i; j < len(d.at) && d.at[j] < at+time.Second; j++ {
				n++
			}
			most = max(most, n)
		}
		if most > 350 {
			t.Errorf("%d in one second after the pause: a burst", most)
		}
	})
}

func TestStreamReportsNoOutcomeForAnotherApplicationsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{conflict: "r7"}
		stream(t, &d, 0, 10)
		if _, ok := d.outcomes["r7"]; ok || len(d.outcomes) != 9 {
			t.Errorf("outcomes %v, want all but r7's", d.outcomes)
		}
	})
}

// inverter counts the outcomes it inverts.
type inverter struct {
	Tamper
	n int
}

func (i *inverter) Outcome(o event.Outcome) event.Outcome {
	i.n++
	if o == event.Repaid {
		return event.Defaulted
	}
	return event.Repaid
}

// An outcome is tampered with once: a report that is tried again says the same.
func TestOutcomesAreTamperedWithOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk{began: time.Now(), outcomes: map[string]event.Outcome{}, deaf: 3}
		tamper := &inverter{}
		s := &Stream{Name: "test", Intake: &d, Next: rows(50), OutcomeDelay: time.Second, Tamper: tamper, Log: slog.New(slog.DiscardHandler)}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tamper.n != 50 || d.outcomes["r3"] != event.Repaid || d.outcomes["r4"] != event.Defaulted {
			t.Errorf("asked %d times for 50 outcomes; r3 %s, r4 %s", tamper.n, d.outcomes["r3"], d.outcomes["r4"])
		}
	})
}
