package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aura/app/config"
)

// simulating is an App whose simulator sends 200 applications a second, with outcomes at once.
func simulating(t *testing.T) *running {
	t.Helper()
	return run(t, func(c *config.Config) { c.Simulate.Rate, c.Simulate.OutcomeDelay = 200, 10*time.Millisecond })
}

// judged is what the store holds of applications accepted after a moment and their outcomes.
type judged struct {
	n                     int
	score, bad, surprised float64 // means: credit score, defaults, outcomes on the other side of the model's 0.5
}

// since waits for n applications with an outcome that were accepted after a moment.
func (r *running) since(from time.Time, n int) judged {
	r.t.Helper()
	db := r.db()
	var j judged
	until(r.t, 30*time.Second, "outcomes", func() string {
		row := db.QueryRow(`SELECT count(*), coalesce(avg(a.features ->> 'credit_score'), 0), coalesce(avg(f.outcome = 'defaulted'), 0),
			coalesce(avg((f.outcome = 'defaulted') != (d.probability_of_default >= 0.5)), 0)
			FROM applications a JOIN decisions d ON d.id = a.id JOIN feedback f ON f.application = a.id AND f.kind = 'joined'
			WHERE a.accepted_at > ?`, from.UnixMicro())
		if err := row.Scan(&j.n, &j.score, &j.bad, &j.surprised); err != nil {
			r.t.Fatal(err)
		}
		if j.n < n {
			return fmt.Sprintf("%d of %d", j.n, n)
		}
		return ""
	})
	return j
}

func (r *running) fault(body map[string]any) (id string) {
	r.t.Helper()
	if body["ttl"] == nil {
		body["ttl"] = "5m"
	}
	var made struct {
		ID string `json:"id"`
	}
	r.must(http.StatusCreated, http.MethodPost, "faults", body, &made)
	return made.ID
}

func (r *running) unfault(id string) {
	r.t.Helper()
	r.must(http.StatusNoContent, http.MethodDelete, "faults/"+id, nil, nil)
}

// What a fault of the source does arrives in the store: another population with the outcomes that it has, a broken feed with
// the outcomes of the true applicants, wrong outcomes of the usual population. And it ends.
func TestFaultsOfTheSourceArrive(t *testing.T) {
	t.Parallel()
	r := simulating(t)
	// What was on its way when the fault began, or ended, is left out.
	settle := func() time.Time { return time.Now().Add(200 * time.Millisecond) }
	const n = 300
	usual := r.since(time.Time{}, n)
	if math.Abs(usual.score-700) > 25 || math.Abs(usual.bad-0.4) > 0.12 || usual.surprised > 0.28 {
		t.Fatalf("without a fault: %+v", usual)
	}
	for _, c := range []struct {
		name  string
		fault map[string]any
		fits  func(judged) bool
	}{
		{"drift", map[string]any{"target": "source", "kind": "drift", "feature": "credit_score", "mean": 550}, func(j judged) bool {
			return math.Abs(j.score-553) < 25 && j.bad > 0.68 && j.surprised < 0.28
		}},
		{"stuck", map[string]any{"target": "source", "kind": "stuck", "feature": "credit_score", "value": 850}, func(j judged) bool {
			return j.score == 850 && math.Abs(j.bad-usual.bad) < 0.12
		}},
		{"noise", map[string]any{"target": "source", "kind": "label-noise", "share": 0.4}, func(j judged) bool {
			return math.Abs(j.score-700) < 25 && j.surprised > 0.3 && j.surprised < 0.58
		}},
		{"flip", map[string]any{"target": "source", "kind": "label-flip"}, func(j judged) bool { return j.surprised > 0.7 }},
	} {
		id := r.fault(c.fault)
		if j := r.since(settle(), n); !c.fits(j) {
			t.Errorf("%s: %+v", c.name, j)
		} else {
			t.Logf("%s: %+v", c.name, j)
		}
		r.unfault(id)
	}
	if j := r.since(settle(), n); math.Abs(j.score-700) > 25 || j.surprised > 0.28 {
		t.Errorf("after the faults: %+v", j)
	}
}

func TestFaultsOfTheSourceAreRefusedByField(t *testing.T) {
	t.Parallel()
	r := simulating(t)
	for want, body := range map[string]map[string]any{
		"credit_score, debt_ratio":  {"target": "source", "kind": "drift", "feature": "score", "mean": 550, "ttl": "1m"},
		"may not be missing":        {"target": "source", "kind": "missing", "feature": "income", "ttl": "1m"},
		"stay between 300 and 850":  {"target": "source", "kind": "drift", "feature": "credit_score", "mean": 200, "ttl": "1m"},
		"give the share":            {"target": "source", "kind": "label-noise", "ttl": "1m"},
		"is a fault of the source":  {"target": "model", "kind": "label-flip", "ttl": "1m"},
		"leave it out":              {"target": "model", "kind": "crash", "feature": "income", "ttl": "1m"},
		"a fault of the model":      {"target": "source", "kind": "bad-model", "ttl": "1m"},
		"say how the population":    {"target": "source", "kind": "drift", "feature": "income", "ttl": "1m"},
		"give what values shall be": {"target": "source", "kind": "unit", "feature": "income", "ttl": "1m"},
	} {
		if text := r.refused(body); !strings.Contains(text, want) {
			t.Errorf("%v: %s, want %q", body, text, want)
		}
	}
	page, answer := get(t, r.URL())
	buttons := regexp.MustCompile(`name="drill" value="([a-z-]+)"`).FindAllStringSubmatch(answer, -1)
	if page != 200 || len(buttons) != 9 {
		t.Fatalf("status %d, buttons %v", page, buttons)
	}
	for _, b := range buttons {
		if slices.Contains([]string{"crash", "hang", "latency", "bad-model"}, b[1]) {
			continue
		}
		answer, err := http.PostForm(r.URL()+"/actions/drill", url.Values{"drill": {b[1]}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != 200 || !strings.Contains(string(text), "The fault is injected") {
			t.Errorf("the page's button %s: status %d, %v: %s", b[1], answer.StatusCode, err, regexp.MustCompile("Not done:.*").FindString(string(text)))
		}
	}
	if text := run(t, nil).refused(map[string]any{"target": "source", "kind": "label-flip", "ttl": "1m"}); !strings.Contains(text, "simulator") {
		t.Errorf("without a source: %s", text)
	}
}

// refused posts a fault that must be refused as invalid, and returns the answer's text.
func (r *running) refused(body map[string]any) string {
	r.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.Post(r.api("faults"), "application/json", bytes.NewReader(raw))
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusUnprocessableEntity {
		r.t.Errorf("%v: status %d, %v", body, answer.StatusCode, err)
	}
	return string(text)
}

// A bad model takes charge as a person would put it there, decides really worse, and leaves with the fault. The note
// on the version, which no agent reads, says what it is; what is in force, and why, doesn't.
func TestBadModelTakesChargeAndLeaves(t *testing.T) {
	t.Parallel()
	r := simulating(t)
	id := r.fault(map[string]any{"target": "model", "kind": "bad-model"})
	if got := r.champion(); got != 3 {
		t.Fatalf("version %d is in charge", got)
	}
	from := time.Now()
	if j := r.since(from, 600); j.surprised < 0.3 {
		t.Errorf("it decides as well as before: %+v", j)
	} else {
		t.Logf("with the bad model: %+v", j)
	}
	r.unfault(id)
	if got := r.champion(); got != 1 {
		t.Errorf("after the fault version %d is in charge", got)
	}
	var models, history any
	r.must(http.StatusOK, http.MethodGet, "models", nil, &models)
	r.must(http.StatusOK, http.MethodGet, "models/history", nil, &history)
	if text := fmt.Sprint(models); !strings.Contains(text, "injected: a worse version, of fault "+id) {
		t.Errorf("people are told of it: %s", text)
	}
	if text := strings.ToLower(fmt.Sprint(history)); strings.Contains(text, "fault") || strings.Contains(text, "worse") || strings.Contains(text, "bad") {
		t.Errorf("what is in force tells: %s", text)
	}

	// One at a time: the second would put back the first.
	id = r.fault(map[string]any{"target": "model", "kind": "bad-model"})
	if text := r.refused(map[string]any{"target": "model", "kind": "bad-model", "ttl": "1m"}); !strings.Contains(text, id) {
		t.Errorf("the second one is refused with %s", text)
	}
	// Somebody rolls back: the fault is over, and its time's end changes nothing more.
	r.must(http.StatusOK, http.MethodPost, "models/rollback", map[string]string{"reason": "worse"}, nil)
	if active := r.parts.Faults.List(); len(active) != 0 {
		t.Errorf("a fault that can do nothing any more is active: %+v", active)
	}
	r.must(http.StatusOK, http.MethodPost, "models/2/promote", map[string]string{"reason": "try"}, nil)
	if got := r.champion(); got != 2 {
		t.Errorf("version %d is in charge, a person chose 2", got)
	}
}

func (r *running) champion() int {
	r.t.Helper()
	state, err := r.parts.Store.Desired(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return state.Champion
}
