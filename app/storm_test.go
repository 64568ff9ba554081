package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/ingestion"
	"aura/app/config"
)

// TestStorm crashes, hangs, restarts and replaces each agent under load from clients inside the process and over HTTP,
// on each bus. Nothing accepted is lost or decided twice, what a zombie brings late is refused and counted, and the
// stages of each application are in order.
func TestStorm(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"memory", "gochannel"} {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			r := run(t, func(c *config.Config) { c.Bus.Kind = bus })
			s := newStorm(r)
			stages := r.listen(t)
			s.start()
			for _, agent := range []string{"ingestion", "feature", "model", "decision"} {
				s.strike(agent)
			}
			s.end()
			r.stop()
			stages.check(t, bus == "memory")
			checkBook(t, r.dir, s.book)
			t.Logf("%s: %d decisions told", bus, s.told.Load())
		})
	}
}

// storm is the load on one App.
type storm struct {
	*running
	book    *book
	told    atomic.Int64
	quit    atomic.Bool
	clients sync.WaitGroup
}

func newStorm(r *running) *storm { return &storm{running: r, book: newBook()} }

func (s *storm) start() {
	s.t.Cleanup(s.end)
	for c := range 12 {
		s.clients.Go(func() { s.inside(c) })
	}
	for c := range 8 {
		s.clients.Go(func() { s.outside(c) })
	}
}

func (s *storm) end() {
	s.quit.Store(true)
	s.clients.Wait()
}

// progress waits until n more applications were answered.
func (s *storm) progress(n int64) {
	s.t.Helper()
	want := s.told.Load() + n
	until(s.t, 30*time.Second, "progress", func() string {
		if have := s.told.Load(); have < want {
			return fmt.Sprintf("%d answers, want %d; agents: %+v", have, want, s.parts.Supervisor.Statuses())
		}
		return ""
	})
}

// strike does to one agent what can be done to it.
func (s *storm) strike(agent string) {
	s.progress(50)
	life := s.status(agent).Incarnation
	s.inject(fault.Fault{Target: agent, Kind: fault.Crash, Times: 1})
	life = s.reborn(agent, life)
	s.progress(50)

	s.inject(fault.Fault{Target: agent, Kind: fault.Crash, Times: 2})
	life = s.reborn(agent, life+1)
	s.progress(50)

	s.must(http.StatusOK, http.MethodPost, "agents/"+agent+"/restart", map[string]string{"reason": "storm"}, nil)
	life = s.reborn(agent, life)
	s.progress(50)

	refused := s.status(agent).Refused
	hang := s.inject(fault.Fault{Target: agent, Kind: fault.Hang, Times: 1})
	life = s.reborn(agent, life) // the watchdog finds it
	s.progress(50)
	s.wake(agent, hang, refused)

	refused = s.status(agent).Refused
	hang = s.inject(fault.Fault{Target: agent, Kind: fault.Hang, Times: 1})
	until(s.t, 10*time.Second, "hang", func() string {
		for _, f := range s.parts.Faults.List() {
			if f.ID == hang && f.Hits > 0 {
				return ""
			}
		}
		return agent + " does not hang"
	})
	if _, err := s.parts.Supervisor.Restart(s.t.Context(), agent, "replaced while it hangs"); err != nil {
		s.t.Fatal(err)
	}
	s.reborn(agent, life)
	s.progress(50)
	s.wake(agent, hang, refused)
	s.progress(50)
}

// reborn waits for a life after the given one and returns it.
func (s *storm) reborn(agent string, before int64) int64 {
	s.t.Helper()
	var now int64
	until(s.t, 20*time.Second, "the next life of "+agent, func() string {
		st := s.status(agent)
		now = st.Incarnation
		if now <= before || st.State != agents.Running && st.State != agents.Slow {
			return fmt.Sprintf("%s in life %d, %d was before", st.State, now, before)
		}
		return ""
	})
	return now
}

// wake ends a hang: its handlers go on in a life that is over, and what they bring must be refused.
func (s *storm) wake(agent, hang string, refused int64) {
	s.t.Helper()
	until(s.t, 10*time.Second, "a zombie", func() string {
		if s.status(agent).Zombies == 0 {
			return agent + " has none although a handler hangs"
		}
		return ""
	})
	if err := s.parts.Faults.Remove(hang); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, 20*time.Second, "the zombies' end", func() string {
		st := s.status(agent)
		if st.Zombies > 0 || st.Refused <= refused {
			return fmt.Sprintf("%s: %d zombies, %d late results refused, %d before", agent, st.Zombies, st.Refused, refused)
		}
		return ""
	})
}

// inside is a client in the process.
func (s *storm) inside(c int) {
	random := rand.New(rand.NewPCG(uint64(c), 11))
	for n := 0; !s.quit.Load(); n++ {
		id := fmt.Sprintf("in%d-%d", c, n)
		features, err := json.Marshal(randomFeatures(random))
		if err != nil {
			s.book.wrong("%v", err)
			return
		}
		s.submit(id, features)
	}
}

// submit hands in until it is answered.
func (s *storm) submit(id string, features []byte) {
	record, err := s.parts.Schema.ParseRecord(features)
	if err != nil {
		s.book.wrong("%s: %v", id, err)
		return
	}
	for {
		receipts, err := s.parts.Intake.Submit(context.Background(), true, true,
			ingestion.Application{ApplicationID: id, Record: record, Source: "storm"})
		if err != nil {
			if s.quit.Load() || errors.Is(err, context.Canceled) {
				return
			}
			continue // three crashes of the desk over one submission: the answer is an error, send it again
		}
		s.book.accepted(id)
		r := receipts[0]
		switch {
		case r.Decision != nil:
			s.book.decided(id, sighting{
				ID: r.Decision.ID, Decision: string(r.Decision.Decision), Probability: r.Decision.Probability,
				ModelVersion: r.Decision.ModelVersion, Mode: string(r.Decision.Mode), Rule: r.Decision.Rule,
			})
		case r.Wait == nil:
			s.book.wrong("%s: nothing to wait for", id)
		default:
			select {
			case d := <-r.Wait:
				s.book.decided(id, sightingOf(d))
			case <-time.After(30 * time.Second):
				s.book.wrong("%s: accepted and not decided for 30 s", id)
			}
		}
		s.told.Add(1)
		return
	}
}

func sightingOf(d *event.Decision) sighting {
	return sighting{
		ID: d.ID, ApplicationID: d.ApplicationID, Decision: string(d.Decision), Probability: d.Probability,
		ModelVersion: d.ModelVersion, Mode: string(d.Mode), Rule: d.Rule,
	}
}

// outside is a client over HTTP.
func (s *storm) outside(c int) {
	random := rand.New(rand.NewPCG(uint64(c), 13))
	for n := 0; !s.quit.Load(); n++ {
		id := fmt.Sprintf("out%d-%d", c, n)
		body := map[string]any{"application_id": id, "features": randomFeatures(random)}
		for tries := 0; ; tries++ {
			var seen sighting
			status, err := call(http.MethodPost, s.api("applications"), body, &seen)
			if err == nil && status == http.StatusOK {
				s.book.decided(id, seen)
				s.told.Add(1)
				break
			}
			if err == nil && status == http.StatusAccepted {
				s.book.accepted(id)
			}
			if err != nil || status == http.StatusInternalServerError || tries > 100 {
				s.book.wrong("POST %s: status %d, %v", id, status, err)
				return
			}
		}
	}
}
