package agents_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

// pipeline is three agents in a row over a memory bus, all of them targets of the storm.
func pipeline(r *rig) []agents.Spec {
	spec := func(name string, topic event.Topic) agents.Spec {
		return agents.Spec{
			Name: name, Inputs: []agents.Input{{Topic: topic}}, NewHandler: all(forward), GiveUp: r.giveUp,
		}
	}
	return []agents.Spec{
		spec("feature", event.RawEvents), spec("model", event.FeaturesTopic), spec("decision", event.Predictions),
	}
}

// Each agent is replaced, crashed, hung, made slow and made to fail under load: every application that went in comes out
// at least once, in the order of its key unless it was struck; what zombies yield late is refused and counted.
func TestStorm(t *testing.T) {
	storms := map[string]fault.Fault{
		"replace": {},
		"crash":   {Kind: fault.Crash, Times: 1},
		"hang":    {Kind: fault.Hang, Times: 1, TTL: 4 * time.Second},
		"latency": {Kind: fault.Latency, Delay: 1500 * time.Millisecond, Share: 0.01, TTL: 3 * time.Second},
		"error":   {Kind: fault.Error, Share: 0.02, TTL: 3 * time.Second},
	}
	for name, f := range storms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, name, f, 1) })
		})
	}
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("mixed/seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, "mixed", fault.Fault{}, seed) })
		})
	}
}

func storm(t *testing.T, name string, f fault.Fault, seed uint64) {
	r := newRig(t, agents.Options{}, 4)
	decided := r.mailbox(event.Decisions)
	r.start(pipeline(r)...)
	random := rand.New(rand.NewPCG(seed, 5))
	const keys, perKey = 50, 80
	sent := 0
	for round := range perKey {
		for k := range keys {
			e := &event.RawEvent{Subject: event.Subject{ID: fmt.Sprintf("%d/%d", k, round), ApplicationID: fmt.Sprint("k", k)}}
			if err := r.bus.Publish(ctx, bus.NewMessage(e, time.Now())); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		time.Sleep(100 * time.Millisecond)
		if round%4 == 0 {
			strike(t, r, name, f, random)
		}
	}
	pass(2 * time.Minute)

	first := map[string]int{} // key -> last round delivered for the first time
	seen := map[string]bool{}
	late := 0
	for _, m := range drain(t, decided) {
		e := m.Event.(*event.Decision)
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		var k, round int
		if _, err := fmt.Sscanf(e.ID, "%d/%d", &k, &round); err != nil {
			t.Fatal(err)
		}
		if round < first[e.ApplicationID] {
			late++
		}
		first[e.ApplicationID] = max(first[e.ApplicationID], round)
	}
	if len(seen)+len(r.givenUp) != sent {
		t.Fatalf("%d sent, %d decided, %d given up", sent, len(seen), len(r.givenUp))
	}
	var failed, refused, restarts int64
	for _, s := range r.sup.Statuses() {
		failed, refused, restarts = failed+s.Failed, refused+s.Refused, restarts+s.Restarts
		if s.State != agents.Running || s.Zombies != 0 || s.Queue != 0 {
			t.Errorf("after the storm: %+v", s)
		}
	}
	t.Logf("%d decided, %d given up, %d out of order, %d failed, %d refused, %d restarts", len(seen), len(r.givenUp), late, failed, refused, restarts)
	// Only what was struck may come late.
	if int64(late) > failed || (name == "replace" || name == "latency") && late > 0 {
		t.Errorf("%d came out of order, %d were struck", late, failed)
	}
	if name == "hang" && refused == 0 {
		t.Error("no late result was refused")
	}
	// A hang takes a second and a half to be seen, in a storm of eight.
	if least := map[string]int64{"replace": 20, "crash": 10, "hang": 5, "mixed": 5}[name]; restarts < least {
		t.Errorf("%d restarts: there was no storm", restarts)
	}
}

// strike hits one agent.
func strike(t *testing.T, r *rig, name string, f fault.Fault, random *rand.Rand) {
	target := []string{"feature", "model", "decision"}[random.IntN(3)]
	if name == "mixed" {
		f = []fault.Fault{
			{},
			{Kind: fault.Crash, Times: 1},
			{Kind: fault.Hang, Times: 1, TTL: 3 * time.Second},
			{Kind: fault.Latency, Delay: 1500 * time.Millisecond, Share: 0.01, TTL: time.Second},
			{Kind: fault.Error, Share: 0.02, TTL: time.Second},
		}[random.IntN(5)]
	}
	if f.Kind == "" {
		if _, err := r.sup.Restart(ctx, target, "storm"); err != nil {
			t.Fatal(err)
		}
		return
	}
	f.Target = target
	if f.Share == 0 {
		f.Share = 1
	}
	if f.TTL == 0 {
		f.TTL = time.Minute
	}
	if _, err := r.faults.Inject(f); err != nil {
		t.Fatal(err)
	}
}
