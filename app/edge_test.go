package app_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/app"
	"aura/app/config"
)

// broken is a malformed body with the fields that the answer must name; none where it is no JSON at all.
type broken struct {
	body   string
	fields []string
}

var names = []string{"credit_score", "debt_ratio", "income", "loan_amount", "employment_years"}

// breakOne breaks one or two features of a good application, or the whole body.
func breakOne(r *rand.Rand, n int) broken {
	features := map[string]string{
		"credit_score": "700", "debt_ratio": "30", "income": "50000", "loan_amount": "15000", "employment_years": "5",
	}
	var b broken
	wrong := []string{
		"null", `"700"`, "true", "[]", "{}", "-1", "1e300", `""`, "[1,[2,[3]]]", `{"a":{"b":1}}`, `"` + strings.Repeat("x", 300) + `"`, "",
	}
	for range 1 + r.IntN(2) {
		name := names[r.IntN(len(names))]
		if w := wrong[r.IntN(len(wrong))]; w == "" {
			delete(features, name)
		} else {
			features[name] = w
		}
		b.fields = append(b.fields, name)
	}
	if r.IntN(4) == 0 {
		name := fmt.Sprintf("unknown_%d", r.IntN(1000))
		features[name] = "1"
		b.fields = append(b.fields, name)
	}
	var members []string
	for name, value := range features {
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	b.body = fmt.Sprintf(`{"application_id":"bad-%d","features":{%s}}`, n, strings.Join(members, ","))
	switch r.IntN(12) {
	case 0:
		b = broken{body: b.body[:r.IntN(len(b.body))]}
	case 1:
		b = broken{body: strings.Replace(b.body, `"features":{`, `"features":{"credit_score":NaN,`, 1)}
	case 2:
		b = broken{body: strings.Repeat("[", 20+r.IntN(2000))}
	case 3:
		b = broken{body: fmt.Sprintf(`{"application_id":%d,"features":{}}`, n), fields: []string{"application_id"}}
	case 4:
		b = broken{body: fmt.Sprintf(`{"application_id":"bad-%d"}`, n), fields: []string{"features"}}
	case 5:
		b = broken{body: fmt.Sprintf(`{"application_id":"bad-%d","features":[],"extra":1}`, n), fields: []string{"features", "extra"}}
	case 6:
		b = broken{body: strings.Replace(b.body, `"features"`, "\"features\xff\"", 1)}
	}
	return b
}

// TestMalformedBodies sends 10,000 bodies that are wrong in many ways: each is refused with 4xx naming what is wrong,
// none gets into the pipeline, all are counted, and a good one is still decided.
func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	const total, workers = 10_000, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 17))
			for n := w; n < total; n += workers {
				b := breakOne(random, n)
				if problem := r.refusesBody(b); problem != "" {
					t.Errorf("%s\nbody %s", problem, b.body)
					return
				}
			}
		})
	}
	wg.Wait()
	huge := application(strings.Repeat("x", 100<<10), 700)
	if got, err := r.post("applications", huge); err != nil || got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d %v, want 413", got.Status, err)
	}
	if n := r.count(`SELECT COUNT(*) FROM applications`); n != 0 {
		t.Errorf("%d malformed applications are stored", n)
	}
	for _, s := range r.parts.Supervisor.Statuses() {
		if !slices.Contains(app.Pipeline, s.Agent) {
			continue // who watches has its own messages
		}
		if s.Handled != 0 || s.Failed != 0 || s.Queue != 0 {
			t.Errorf("something got to the %s agent: %+v", s.Agent, s)
		}
	}
	refused := r.metric(`aura_http_requests_total{method="POST",route="/api/v1/applications",status="400"}`) +
		r.metric(`aura_http_requests_total{method="POST",route="/api/v1/applications",status="422"}`)
	if refused != total {
		t.Errorf("%v refusals are counted, want %d", refused, total)
	}
	if n := r.metric(`aura_applications_refused_total{reason="invalid",source="http"}`); n < total/3 {
		t.Errorf("%v invalid applications are counted", n)
	}
	if s := r.decide("good"); s.Decision == "" || s.Mode != "MODEL" {
		t.Errorf("a good one afterwards: %+v", s)
	}
}

// refusesBody says what is wrong with how a malformed body is answered.
func (r *running) refusesBody(b broken) string {
	got, err := r.post("applications", b.body)
	switch {
	case err != nil:
		return err.Error()
	case got.Status/100 != 4:
		return fmt.Sprintf("status %d: %s", got.Status, got.Body)
	case got.Problem.Detail == "" && len(got.Problem.Errors) == 0:
		return "no reason: " + got.Body
	}
	for _, field := range b.fields {
		named := false
		for _, e := range got.Problem.Errors {
			named = named || strings.HasSuffix(e.Field, field) && e.Problem != ""
		}
		if !named {
			return fmt.Sprintf("%s is not named in %s", field, got.Body)
		}
	}
	return ""
}

// metric reads one sample of /metrics, 0 where there is none.
func (r *running) metric(sample string) float64 {
	r.t.Helper()
	_, body := get(r.t, r.URL()+"/metrics")
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), sample+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// TestIdempotency sends the same application again, another one under its id, and one without an id.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	first := r.decide("A-1")
	if again := r.decide("A-1"); again.facts() != first.facts() {
		t.Errorf("the same body was told %s, then %s", first.facts(), again.facts())
	}
	// The same features in another order and spelling are the same application.
	got, err := r.post("applications", `{"features":{"employment_years":5.0,"loan_amount":15e3,"income":50000,"debt_ratio":30,"credit_score":700},"application_id":"A-1"}`)
	if err != nil || got.Status != http.StatusOK || !strings.Contains(got.Body, first.ID) {
		t.Errorf("the same application, written otherwise: %d %s %v", got.Status, got.Body, err)
	}
	got, err = r.post("applications", application("A-1", 650))
	if err != nil || got.Status != http.StatusConflict || got.Problem.Type != "urn:aura:problem:conflict" {
		t.Errorf("another body under the id: %d %s %v, want 409", got.Status, got.Body, err)
	}
	var given sighting
	r.must(http.StatusOK, http.MethodPost, "applications", rawJSON(strings.Replace(application("x", 700), `"application_id":"x",`, "", 1)), &given)
	if given.ID == "" || given.ApplicationID != given.ID {
		t.Errorf("no id was given: %+v", given)
	}
	if s := r.decided(time.Second, given.ApplicationID)[0]; s.facts() != given.facts() {
		t.Errorf("found by the given id: %s, told %s", s.facts(), given.facts())
	}
	var wg sync.WaitGroup
	b := newBook()
	for range 16 { // one application, at the same time from many
		wg.Go(func() {
			var s sighting
			if status, err := call(http.MethodPost, r.api("applications"), rawJSON(application("A-2", 700)), &s); err != nil || status != http.StatusOK {
				b.wrong("A-2: status %d, %v", status, err)
				return
			}
			b.decided("A-2", s)
		})
	}
	wg.Wait()
	r.stop()
	checkBook(t, r.dir, b)
}

// TestFeedback reports outcomes of all kinds over HTTP: each is answered and counted as what it is, the first one
// stands, and what is joined to a decision is published once.
func TestFeedback(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"memory", "gochannel"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := run(t, func(c *config.Config) {
				c.Bus.Kind = kind
				c.Agents.StageDeadline = 30 * time.Second // nobody gives the hung life up before the outcomes are in
			})
			heard := r.hearFeedback(t)
			r.decide("decided")
			r.inject(fault.Fault{Target: "model", Kind: fault.Hang, Times: 1})
			r.accept("waiting", 1)
			for _, step := range []struct{ id, outcome, kind, stands string }{
				{"nobody", "repaid", "unknown", "repaid"},
				{"decided", "defaulted", "joined", "defaulted"},
				{"decided", "defaulted", "duplicate", "defaulted"},
				{"decided", "repaid", "contradicting", "defaulted"},
				{"waiting-0", "repaid", "early", "repaid"},
				{"waiting-0", "defaulted", "contradicting", "repaid"},
			} {
				var got struct{ Kind, Outcome string }
				r.must(http.StatusOK, http.MethodPost, "feedback",
					map[string]string{"application_id": step.id, "outcome": step.outcome, "observed_at": "2026-11-25T10:00:00Z"}, &got)
				if got.Kind != step.kind || got.Outcome != step.stands {
					t.Errorf("%s %s: %+v, want %s and that %s stands", step.id, step.outcome, got, step.kind, step.stands)
				}
			}
			for _, at := range []string{"2099-01-01T00:00:00Z", "0026-11-25T10:00:00Z"} {
				got, err := r.post("feedback", fmt.Sprintf(`{"application_id": "decided", "outcome": "defaulted", "observed_at": %q}`, at))
				if err != nil || got.Status != http.StatusUnprocessableEntity || len(got.Problem.Errors) != 1 || got.Problem.Errors[0].Field != "observed_at" || got.Problem.Errors[0].Got != at {
					t.Errorf("observed at %s: %v, %+v", at, err, got)
				}
			}
			r.parts.Faults.Clear()
			r.decided(20*time.Second, "waiting-0")
			until(t, 10*time.Second, "two outcomes on the bus", func() string {
				if n := heard.n(); n < 2 {
					return fmt.Sprintf("%d heard", n)
				}
				return ""
			})
			for kind, want := range map[string]float64{"unknown": 1, "joined": 1, "duplicate": 1, "contradicting": 2, "early": 1} {
				if n := r.metric(fmt.Sprintf("aura_feedback_total{kind=%q}", kind)); n != want {
					t.Errorf("%v of kind %s are counted, want %v", n, kind, want)
				}
			}
			var record struct{ Outcome string }
			r.must(http.StatusOK, http.MethodGet, "applications/waiting-0", nil, &record)
			if record.Outcome != "repaid" {
				t.Errorf("the record shows outcome %q", record.Outcome)
			}
			r.stop() // nothing more can come
			for id, want := range map[string]string{"decided": "defaulted", "waiting-0": "repaid"} {
				if got := heard.of(id); len(got) != 1 || got[0] != want {
					t.Errorf("published for %s: %v, want %s once", id, got, want)
				}
			}
		})
	}
}

// heard is the outcomes that were published.
type heard struct {
	mu       sync.Mutex
	outcomes map[string][]string
}

func (h *heard) n() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.outcomes {
		n += len(o)
	}
	return n
}

func (h *heard) of(id string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.outcomes[id]
}

func (r *running) hearFeedback(t *testing.T) *heard {
	t.Helper()
	h := &heard{outcomes: map[string][]string{}}
	r.hear(t, event.FeedbackTopic, func(m *bus.Message) {
		if f, ok := m.Event.(*event.Feedback); ok {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.outcomes[f.ApplicationID] = append(h.outcomes[f.ApplicationID], string(f.Outcome))
		}
	})
	return h
}

// TestSlowClients has clients that send their requests a byte at a time, or not at all: the others don't notice, and a
// stop doesn't wait for them.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	addr := strings.TrimPrefix(r.URL(), "http://")
	body := application("slow", 700)
	request := "POST /api/v1/applications HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/json\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(quit)
	for n := range 60 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			drip(c, request[:n*len(request)/60], quit)
		})
	}
	for n := range 50 {
		if s := r.decide(fmt.Sprintf("quick-%d", n)); s.Decision == "" {
			t.Errorf("%+v", s)
		}
	}
	began := time.Now()
	r.stop() // fails the test where it can't end in order
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// drip sends what there is a byte at a time and then holds the connection.
func drip(c net.Conn, request string, quit <-chan struct{}) {
	for i := range len(request) {
		if _, err := c.Write([]byte{request[i]}); err != nil {
			return
		}
		select {
		case <-quit:
			return
		case <-time.After(time.Millisecond): // the slowness is what is tested
		}
	}
	<-quit
}

// TestACursorThatNobodyGaveIsRefused: by every list, and not taken for the first page.
func TestACursorThatNobodyGaveIsRefused(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	r.decide("one")
	for _, path := range []string{"decisions", "incidents", "actions", "models", "models/history", "audit"} {
		var p struct {
			Errors []struct{ Field string }
		}
		r.ask("GET", "/api/v1/"+path+"?cursor=nonsense", "", 400, &p)
		if len(p.Errors) != 1 || p.Errors[0].Field != "cursor" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
