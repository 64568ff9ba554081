package fault_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"aura/agents"
	"aura/agents/fault"
)

var ctx = context.Background()

func life(n int64) agents.Life { return agents.Life{Agent: "model", Incarnation: n} }

func inject(t *testing.T, r *fault.Registry, f fault.Fault) fault.Fault {
	t.Helper()
	if f.Target == "" {
		f.Target = "model"
	}
	if f.Share == 0 {
		f.Share = 1
	}
	if f.TTL == 0 {
		f.TTL = time.Minute
	}
	got, err := r.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func panics(r *fault.Registry, n int64) (is bool) {
	defer func() { is = recover() != nil }()
	_ = r.Before(ctx, "model", life(n))
	return false
}

func TestRefusalsNameFieldAndRemedy(t *testing.T) {
	r := fault.New(fault.Options{Targets: []string{"model", "decision"}, MaxTTL: time.Minute})
	defer r.Close()
	good := fault.Fault{Target: "model", Kind: fault.Latency, Delay: time.Second, Share: 1, TTL: time.Minute}
	for field, spoil := range map[string]func(*fault.Fault){
		"target": func(f *fault.Fault) { f.Target = "modle" },
		"kind":   func(f *fault.Fault) { f.Kind = "lag" },
		"delay":  func(f *fault.Fault) { f.Delay = 0 },
		"share":  func(f *fault.Fault) { f.Share = math.NaN() },
		"ttl":    func(f *fault.Fault) { f.TTL = 0 },
		"times":  func(f *fault.Fault) { f.Times = -1 },
	} {
		f := good
		spoil(&f)
		var invalid *fault.InvalidError
		if _, err := r.Inject(f); !errors.As(err, &invalid) || invalid.Field != field || invalid.Remedy == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	f := good
	f.TTL = time.Minute + 1
	if _, err := r.Inject(f); err == nil {
		t.Error("a TTL above the limit was accepted")
	}
	if n := len(r.List()); n != 0 {
		t.Errorf("%d faults are active after refusals", n)
	}
}

func TestLatencyWaitsObeysContextAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fault.New(fault.Options{})
		defer r.Close()
		inject(t, r, fault.Fault{Kind: fault.Latency, Delay: 2 * time.Second, TTL: 10 * time.Second})
		begin := time.Now()
		if err := r.Before(ctx, "model", life(1)); err != nil || time.Since(begin) != 2*time.Second {
			t.Fatalf("err %v after %s", err, time.Since(begin))
		}
		if err := r.Before(ctx, "decision", life(1)); err != nil || time.Since(begin) != 2*time.Second {
			t.Fatal("another agent was hit")
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.Before(short, "model", life(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a cancelled wait returned %v", err)
		}
		time.Sleep(8 * time.Second)
		if len(r.List()) != 0 {
			t.Fatal("the fault outlived its TTL")
		}
		if begin := time.Now(); r.Before(ctx, "model", life(1)) != nil || time.Since(begin) != 0 {
			t.Fatal("an ended fault still acts")
		}
	})
}

func TestHangIgnoresContextUntilTheFaultEnds(t *testing.T) {
	ends := map[string]func(*fault.Registry, string){
		"ttl":    func(*fault.Registry, string) { time.Sleep(time.Minute) },
		"remove": func(r *fault.Registry, id string) { _ = r.Remove(id) },
		"clear":  func(r *fault.Registry, _ string) { r.Clear() },
		"close":  func(r *fault.Registry, _ string) { r.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := fault.New(fault.Options{})
				defer r.Close()
				f := inject(t, r, fault.Fault{Kind: fault.Hang, Times: 1})
				cancelled, cancel := context.WithCancel(ctx)
				returned := make(chan error, 2)
				for range 2 { // both lanes of the life hang
					go func() { returned <- r.Before(cancelled, "model", life(1)) }()
				}
				cancel()
				synctest.Wait()
				if len(returned) != 0 {
					t.Fatal("the hang obeyed its context")
				}
				if hits := r.List()[0].Hits; hits != 1 {
					t.Errorf("a life that hangs in two lanes is hit %d times", hits)
				}
				if err := r.Before(ctx, "model", life(2)); err != nil {
					t.Fatal("the next life was hit although the fault is spent")
				}
				end(r, f.ID)
				for range 2 {
					if err := <-returned; err != nil {
						t.Fatalf("a hang ends with %v, not with a late result", err)
					}
				}
			})
		})
	}
}

func TestCrashIsSpentAfterItsLives(t *testing.T) {
	r := fault.New(fault.Options{})
	defer r.Close()
	inject(t, r, fault.Fault{Kind: fault.Crash, Times: 2})
	var got []bool
	for _, n := range []int64{1, 1, 2, 3} {
		got = append(got, panics(r, n))
	}
	if want := []bool{true, false, true, false}; !equal(got, want) {
		t.Fatalf("panics %v, want %v", got, want)
	}
	if len(r.List()) != 0 {
		t.Fatal("a spent crash is still listed")
	}
	inject(t, r, fault.Fault{Kind: fault.Crash})
	for n := range int64(5) {
		if !panics(r, 10+n) {
			t.Fatalf("times 0 spared life %d", n)
		}
	}
}

func equal(a, b []bool) bool {
	for i := range b {
		if len(a) != len(b) || a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestListGetRemove(t *testing.T) {
	r := fault.New(fault.Options{})
	defer r.Close()
	f := inject(t, r, fault.Fault{Kind: fault.Error})
	if err := r.Before(ctx, "model", life(1)); !errors.Is(err, fault.ErrInjected) {
		t.Fatal(err)
	}
	got, err := r.Get(f.ID)
	if err != nil || got.Hits != 1 || !got.ExpiresAt.Equal(got.CreatedAt.Add(time.Minute)) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := r.Remove(f.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(f.ID); !errors.Is(err, fault.ErrNotFound) {
		t.Fatal(err)
	}
	inject(t, r, fault.Fault{Kind: fault.Error})
	inject(t, r, fault.Fault{Kind: fault.Error, Target: "feature"})
	if n := r.Clear(); n != 2 || len(r.List()) != 0 {
		t.Fatalf("cleared %d", n)
	}
	r.Close()
	if _, err := r.Inject(fault.Fault{Target: "model", Kind: fault.Error, Share: 1, TTL: time.Second}); err == nil {
		t.Fatal("a closed registry took a fault")
	}
}

// Share is a seeded draw: the same seed hits the same events, about as many as it says.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share, seed := rapid.Float64Range(0.05, 1).Draw(t, "share"), rapid.Uint64().Draw(t, "seed")
		run := func() (hits string, n int) {
			r := fault.New(fault.Options{Seed: seed})
			defer r.Close()
			if _, err := r.Inject(fault.Fault{Target: "model", Kind: fault.Error, Share: share, TTL: time.Minute}); err != nil {
				t.Fatal(err)
			}
			out := make([]byte, 2000)
			for i := range out {
				if r.Before(ctx, "model", life(1)) != nil {
					out[i] = 1
					n++
				}
			}
			return string(out), n
		}
		a, n := run()
		if b, _ := run(); a != b {
			t.Fatal("the same seed hit other events")
		}
		// Six standard deviations of a binomial.
		if mean, sd := 2000*share, math.Sqrt(2000*share*(1-share)); math.Abs(float64(n)-mean) > 6*sd+1 {
			t.Fatalf("%d of 2000 hit with share %v", n, share)
		}
	})
}

func BenchmarkNoFault(b *testing.B) {
	r := fault.New(fault.Options{})
	defer r.Close()
	l := life(1)
	for b.Loop() {
		_ = r.Before(ctx, "model", l)
	}
}
