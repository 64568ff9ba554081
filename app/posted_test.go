package app

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/fx"

	"aura/agents/healing"
	"aura/app/config"
	"aura/healing/incident"
	"aura/mlops/dataset"
	"aura/mlops/gate"
	"aura/mlops/schema"
	"aura/mlops/synth"
	"aura/mlops/train"
	"aura/store"
	"aura/web"
)

// What a lender posts, in fake time: the requests go through everything of the web server but its socket, which would hold
// fake time up. Nobody injects anything, and the simulator is off.

// edge is the web server of a process in fake time, which serves without a socket.
type edge struct{ server *web.Server }

func (e *edge) instead() fx.Option {
	return fx.Decorate(func(s *web.Server) *web.Server {
		e.server = s
		return s
	})
}

// request is answered as over a socket.
func (e *edge) request(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1/api/v1/"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	e.server.Handler().ServeHTTP(answer, r)
	return answer
}

// apply posts an application that nobody else sends.
func (e *edge) apply(id string) *httptest.ResponseRecorder {
	return e.request(http.MethodPost, "applications", fmt.Sprintf(`{"application_id":%q,"features":{"credit_score":700,"debt_ratio":30,`+
		`"income":50000,"loan_amount":15000,"employment_years":5}}`, id))
}

// withEdge has the web server, and no simulator.
func withEdge(c *config.Config) {
	noSource(c)
	c.Agents.Select = append(c.Agents.Select, webName)
}

// people are those who apply, what becomes of them, and what the lender's feed does to both.
type people struct {
	shifts map[string]synth.Shift
	// outcome says what is reported of an applicant; nil for the truth.
	outcome func(values schema.Vector, bad bool, r *rand.Rand) bool
	// feed changes the values that are sent, not the applicant.
	feed func(values schema.Vector)
	// silent reports no outcomes.
	silent bool
}

// draw makes an applicant.
func (p *people) draw(g *synth.Generator, r *rand.Rand) (values schema.Vector, bad bool) {
	for _, f := range schema.Builtin().Features {
		if err := g.Shift(f.Name, p.shifts[f.Name]); err != nil {
			panic(err)
		}
	}
	if values, bad = g.Values(nil); p.outcome != nil {
		bad = p.outcome(values, bad, r)
	}
	if p.feed != nil {
		p.feed(values)
	}
	return values, bad
}

// bank is a lender that posts 50 applications a second, and the outcome of each when it has come.
type bank struct {
	*world
	edge   edge
	people atomic.Pointer[people]
}

const (
	bankEvery   = 20 * time.Millisecond
	bankOutcome = 2 * time.Second
)

// posted runs a process in fake time to which a bank posts, for a while what the first model knows.
func posted(t *testing.T, do func(b *bank)) {
	t.Helper()
	b := &bank{}
	virtually(t, withEdge, func(w *world) {
		b.world = w
		b.people.Store(&people{})
		stop := make(chan struct{})
		var sends sync.WaitGroup
		sends.Go(func() { b.run(stop, &sends) })
		defer func() { close(stop); sends.Wait() }()
		time.Sleep(20 * time.Second)
		do(b)
		if w.t.Failed() {
			w.t.Log(story(w.incidents(), w.begun))
		}
	}, b.edge.instead())
}

func (b *bank) run(stop <-chan struct{}, sends *sync.WaitGroup) {
	g, r := synth.New(4711), rand.New(rand.NewPCG(47, 11))
	tick := time.NewTicker(bankEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		p := b.people.Load()
		values, bad := p.draw(g, r)
		sends.Go(func() { b.send(stop, fmt.Sprintf("B-%d", n), values, bad, p.silent) })
	}
}

func (b *bank) send(stop <-chan struct{}, id string, values schema.Vector, bad, silent bool) {
	record, err := schema.Builtin().Record(values)
	if err != nil {
		b.t.Error(err)
		return
	}
	features, err := json.Marshal(record)
	if err != nil {
		b.t.Error(err)
		return
	}
	if got := b.edge.request(http.MethodPost, "applications", fmt.Sprintf(`{"application_id":%q,"features":%s}`, id, features)); got.Code/100 != 2 || silent {
		if got.Code/100 != 2 {
			b.t.Errorf("%s: %d %s", id, got.Code, got.Body)
		}
		return
	}
	select {
	case <-stop:
		return
	case <-time.After(bankOutcome):
	}
	outcome := store.Repaid
	if bad {
		outcome = store.Defaulted
	}
	if got := b.edge.request(http.MethodPost, "feedback", fmt.Sprintf(`{"application_id":%q,"outcome":%q}`, id, outcome)); got.Code/100 != 2 {
		b.t.Errorf("outcome of %s: %d %s", id, got.Code, got.Body)
	}
}

// until waits for an incident that fits, newest first.
func (b *bank) until(limit time.Duration, what string, fits func(in incident.Incident) bool) (found incident.Incident) {
	b.t.Helper()
	if !b.waitFor(limit, func() bool {
		for _, in := range slices.Backward(b.incidents()) {
			if fits(in) {
				found = in
				return true
			}
		}
		return false
	}) {
		b.t.Fatalf("%s: not within %s\n%s", what, limit, story(b.incidents(), b.begun))
	}
	return found
}

// last is the newest action of a type that was asked for; zero if there is none.
func last(in incident.Incident, action string) (found incident.Action) {
	for _, a := range in.Actions {
		if passedOver := a.Result == incident.Refused && a.DecidedAt.IsZero(); a.Type == action && !passedOver {
			found = a
		}
	}
	return found
}

// nothingLearnt: the first version is the only one and in charge, and what is compared with came with it.
func (b *bank) nothingLearnt() {
	b.t.Helper()
	if s := b.parts.View.Current(); s.Champion != 1 || s.Reference != "model-1" {
		b.t.Errorf("champion %d, reference %s", s.Champion, s.Reference)
	}
	if versions, err := b.parts.Registry.Versions(b.t.Context(), 10, 0); err != nil || len(versions) != 1 {
		b.t.Errorf("%d versions are registered, %v", len(versions), err)
	}
	for _, in := range b.incidents() {
		for _, a := range in.Actions {
			if a.Type == incident.PromoteModel || a.Type == incident.AcceptReference {
				b.t.Errorf("%s of %s: %s", a.Type, in.ID, a.Result)
			}
		}
	}
}

// ownWorld is a relation of the facts to what becomes of applicants that is, by a share, another than the one known.
func ownWorld(share, threshold float64) func(schema.Vector, bool, *rand.Rand) bool {
	return func(v schema.Vector, _ bool, r *rand.Rand) bool {
		own := 0.15*(850-v[0])/550 + 0.15*v[1]/100 + 0.45*min(v[3]/v[2], 3)/3 + 0.25*(1-min(v[4], 40)/40)
		return share*own+(1-share)*synth.Risk(v)+synth.Noise*r.NormFloat64() > threshold
	}
}

// TestRetrainingNeverLearns from wrong outcomes, a broken feed, or without outcomes.
func TestRetrainingNeverLearns(t *testing.T) {
	t.Run("two outcomes in five are wrong", func(t *testing.T) {
		t.Parallel()
		posted(t, func(b *bank) {
			b.people.Store(&people{outcome: func(_ schema.Vector, bad bool, r *rand.Rand) bool { return bad != (r.Float64() < 0.4) }})
			in := b.until(3*time.Minute, "a person called", func(in incident.Incident) bool {
				return in.Kind == incident.PerfDrop && (in.State == incident.Escalated || in.State == incident.Failed)
			})
			if a := last(in, incident.TriggerRetraining); a.Result != incident.NotHeld || in.Escalations == 0 {
				b.t.Errorf("the training: %s, %s; %d calls", a.Result, a.Reason, in.Escalations)
			}
			time.Sleep(time.Minute) // nor later
			b.nothingLearnt()
		})
	})
	t.Run("nobody defaults any more", func(t *testing.T) {
		t.Parallel()
		posted(t, func(b *bank) {
			b.people.Store(&people{outcome: func(schema.Vector, bool, *rand.Rand) bool { return false }})
			in := b.until(3*time.Minute, "a person called", func(in incident.Incident) bool { return in.Kind == incident.PerfDrop && in.State == incident.Escalated })
			if a := last(in, incident.TriggerRetraining); a.Result != incident.NotHeld || !strings.Contains(a.Undo.Reason, "feed of outcomes looks broken") {
				b.t.Errorf("the training: %s, %+v", a.Result, a.Undo)
			}
			if calls := b.parts.Healer.calls.recent(); !slices.ContainsFunc(calls, func(n healing.Notice) bool { return strings.Contains(n.Text, "feed of outcomes looks broken") }) {
				b.t.Errorf("nobody was told: %+v", calls)
			}
			b.nothingLearnt()
		})
	})
	for name, c := range map[string]struct {
		feed func(schema.Vector)
		bug  string
	}{
		"a value is stuck": {func(v schema.Vector) { v[0] = 700 }, "% of values are stuck at 700"},
		"another unit":     {func(v schema.Vector) { v[2] = max(1000, v[2]/12) }, "% of values look divided by 1"}, // 12, or 10 while few values tell them apart,
		"some values are stuck": {func(v schema.Vector) {
			if int(v[3]/100)%2 == 0 {
				v[1] = 35
			}
		}, "stuck at 35"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			posted(t, func(b *bank) {
				b.people.Store(&people{feed: c.feed})
				in := b.until(2*time.Minute, "a person called", func(in incident.Incident) bool { return in.State == incident.Escalated })
				if in.Kind != incident.DataDrift || in.Escalation != incident.EscDataBug || !strings.Contains(in.Signal.DataBug, c.bug) {
					b.t.Errorf("%s, %s: %q", in.Kind, in.Escalation, in.Signal.DataBug)
				}
				if shown := b.edge.request(http.MethodGet, "incidents/"+in.ID, ""); !strings.Contains(shown.Body.String(), c.bug) {
					b.t.Errorf("%d, the incident that people see doesn't name the bug: %s", shown.Code, shown.Body)
				}
				if calls := b.parts.Healer.calls.recent(); !slices.ContainsFunc(calls, func(n healing.Notice) bool { return strings.Contains(n.Text, c.bug) }) {
					b.t.Errorf("nobody was told: %+v", calls)
				}
				time.Sleep(40 * time.Second)
				for _, in := range b.incidents() { // it may be tried before the bug is named
					if a := last(in, incident.TriggerRetraining); a.ID != "" && !strings.Contains(a.Reason, "the feed is broken") {
						b.t.Errorf("a training for %s: %s, %s", in.Kind, a.Result, a.Reason)
					}
				}
				b.people.Store(&people{}) // the feed is mended
				time.Sleep(42 * time.Second)
				if list := b.incidents(); len(list) != 1 || list[0].State != incident.Cancelled {
					b.t.Errorf("one cause is one incident, which its end ends:\n%s", story(list, b.begun))
				}
				b.nothingLearnt()
			})
		})
	}
	t.Run("no outcomes", func(t *testing.T) {
		t.Parallel()
		posted(t, func(b *bank) {
			b.people.Store(&people{shifts: map[string]synth.Shift{"debt_ratio": {Scale: 1.8}}, silent: true})
			in := b.until(8*time.Minute, "a person called", func(in incident.Incident) bool { return in.State == incident.Escalated })
			if a := last(in, incident.TriggerRetraining); in.Kind != incident.DataDrift || a.Result != incident.Refused || !strings.Contains(a.Reason, "0 of 500 outcomes") {
				b.t.Errorf("%s, the training: %s, %s", in.Kind, a.Result, a.Reason)
			}
			b.nothingLearnt()
		})
	})
}

// rivals are the accuracy and area of a version, and of a model trained anew on people, on others of their kind.
func (b *bank) rivals(version int, p *people) (champion, trained [2]float64) {
	b.t.Helper()
	g, r := synth.New(815), rand.New(rand.NewPCG(8, 15))
	rows := make([]dataset.Row, b.cfg.Training.Rows+rivalRows)
	for i := range rows {
		rows[i].Values, rows[i].Bad = p.draw(g, r)
	}
	m, err := b.parts.Registry.Load(b.t.Context(), version)
	if err != nil {
		b.t.Fatal(err)
	}
	fresh, err := train.Fit(b.t.Context(), b.parts.Schema, rows[rivalRows:], trainOptions(b.cfg))
	if err != nil {
		b.t.Fatal(err)
	}
	champion[0], champion[1] = judged(m, rows[:rivalRows])
	trained[0], trained[1] = judged(fresh.Model, rows[:rivalRows])
	return champion, trained
}

// TestADriftIsLearnt: people come whom the champion doesn't know. A candidate is promoted, by its digest, decides as well as a
// model trained on them, and leaves with them: their predecessors' return is an incident of its own that restores model
// and reference without a training.
func TestADriftIsLearnt(t *testing.T) {
	t.Parallel()
	posted(t, func(b *bank) {
		strangers := &people{shifts: map[string]synth.Shift{"credit_score": {Add: -150}}, outcome: ownWorld(0.7, 0.35)}
		b.people.Store(strangers)
		in := b.until(5*time.Minute, "the drift healed", func(in incident.Incident) bool {
			return in.Kind == incident.DataDrift && in.State == incident.Resolved
		})
		promoted := last(in, incident.PromoteModel)
		v, err := b.parts.Registry.Version(b.t.Context(), b.parts.View.Current().Champion)
		if err != nil {
			b.t.Fatal(err)
		}
		if v.Number == 1 || promoted.Params["digest"] != v.Digest || promoted.Result != incident.Verified {
			b.t.Errorf("champion %d %s, promoted %v %s", v.Number, v.Digest, promoted.Params, promoted.Result)
		}
		champion, trained := b.rivals(v.Number, strangers)
		before, _ := b.rivals(1, strangers)
		b.t.Logf("AUC and accuracy: before %v, now %v, trained anew %v", before, champion, trained)
		if limit := gate.DefaultLimits().Kept; champion[0] < trained[0]-limit || champion[1] < trained[1]-limit {
			b.t.Errorf("the champion has %v, a model trained on those who came %v", champion, trained)
		}
		b.people.Store(&people{})
		back := b.until(5*time.Minute, "the return", func(x incident.Incident) bool {
			return x.ID != in.ID && x.Kind == incident.DataDrift && x.State == incident.Resolved
		})
		if !slices.Contains(back.Links, in.ID) || last(back, incident.RestoreReference).Result != incident.Verified || last(back, incident.TriggerRetraining).ID != "" {
			b.t.Errorf("the return: links %v, %+v", back.Links, back.Actions)
		}
		if s := b.parts.View.Current(); s.Champion != 1 || s.Reference != "model-1" {
			b.t.Errorf("after the return: champion %d, reference %s", s.Champion, s.Reference)
		}
	})
}

// TestACandidateThatDoesNotHoldLeaves: the world changes once more just when the candidate takes charge. It is taken back, and
// who was in charge before is again.
func TestACandidateThatDoesNotHoldLeaves(t *testing.T) {
	t.Parallel()
	posted(t, func(b *bank) {
		b.people.Store(&people{outcome: ownWorld(1, 0.385)})
		if !b.waitFor(3*time.Minute, func() bool { return b.parts.View.Current().Champion != 1 }) {
			b.t.Fatal("no candidate took charge")
		}
		b.people.Store(&people{outcome: func(_ schema.Vector, bad bool, _ *rand.Rand) bool { return !bad }})
		in := b.until(15*time.Minute, "the candidate taken back", func(in incident.Incident) bool {
			return last(in, incident.PromoteModel).Result == incident.Undone
		})
		if s := b.parts.View.Current(); s.Champion != 1 || s.Reference != "model-1" {
			b.t.Errorf("champion %d, reference %s", s.Champion, s.Reference)
		}
		in = b.until(5*time.Minute, "a person called", func(x incident.Incident) bool { return x.ID == in.ID && x.Escalations > 0 })
		if !in.ResolvedAt.IsZero() {
			b.t.Errorf("resolved at %s", in.ResolvedAt)
		}
	})
}
