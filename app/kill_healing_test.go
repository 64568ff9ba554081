package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"aura/app"
	"aura/app/config"
)

// healingKills are the real troubles in whose healing the real process is killed. What is injected dies with the process,
// except the worse model: that is a version in charge like any other.
var healingKills = []struct {
	name  string
	fault map[string]any
	// within is how long after the injection the process dies at the latest.
	within time.Duration
}{
	{"late model", map[string]any{"target": "model", "kind": "latency", "delay": "2s", "share": 1, "ttl": "60s"}, 5 * time.Second},
	{"hung model", map[string]any{"target": "model", "kind": "hang", "share": 1, "ttl": "60s"}, 4 * time.Second},
	{"late feature agent", map[string]any{"target": "feature", "kind": "latency", "delay": "800ms", "share": 1, "ttl": "60s"}, 12 * time.Second},
	{"worse model", map[string]any{"target": "model", "kind": "bad-model", "ttl": "5m"}, 15 * time.Second},
}

// TestKillDuringHealing kills the real process at random moments of a real healing and starts it again: every incident
// ends, the model decides, no action took effect twice, rows and targets agree, the audit verifies.
func TestKillDuringHealing(t *testing.T) {
	t.Parallel()
	const seed = 5
	random := rand.New(rand.NewPCG(seed, 3))
	rounds := 1
	if os.Getenv("AURA_KILLS") != "" {
		rounds = max(1, kills(t)/10)
	}
	t.Logf("seed %d, %d kills of each of %d healings", seed, rounds, len(healingKills))
	for round := range rounds {
		for _, k := range healingKills {
			if rounds == 1 && k.fault["kind"] != "latency" { // the others take longer: .ci/run kill
				continue
			}
			after := time.Duration(random.Int64N(int64(k.within)))
			t.Run(fmt.Sprintf("%s %d", k.name, round), func(t *testing.T) {
				t.Parallel()
				killHealing(t, k.fault, after)
			})
		}
	}
}

func killHealing(t *testing.T, fault map[string]any, after time.Duration) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "--simulate", "50", "--set", "simulate.outcome_delay=1s")
	p.well(t)
	if status, err := call(http.MethodPost, p.base+"/api/v1/faults", fault, nil); err != nil || status/100 != 2 {
		t.Fatalf("fault: %d %v", status, err)
	}
	time.Sleep(after) // the moment of the kill is what is drawn
	before := p.incidents(t)
	p.kill()
	p = start(t, dir, "--simulate", "50", "--set", "simulate.outcome_delay=1s")
	p.well(t)
	until(t, 2*time.Minute, "the end of every incident", func() string {
		var mode struct{ Mode string }
		if _, err := call(http.MethodGet, p.base+"/api/v1/mode", nil, &mode); err != nil || mode.Mode != "MODEL" {
			return fmt.Sprintf("mode %s %v", mode.Mode, err)
		}
		for _, in := range p.incidents(t) {
			if !strings.Contains("RESOLVED CANCELLED", in.State) || in.Degraded {
				return fmt.Sprintf("%+v", in)
			}
		}
		return ""
	})
	t.Logf("killed %s after the injection: before %+v, at the end %+v", after.Round(time.Millisecond), before, p.incidents(t))
	if err := p.interrupt(t); err != nil {
		t.Errorf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	checkBook(t, dir, newBook())
	checkHealing(t, dir)
	if t.Failed() {
		t.Log(tail(p.out.String(), 40))
	}
}

// incidentSeen is what a client sees of an incident.
type incidentSeen struct {
	Type, State, Target string
	Degraded            bool
	LastAction          string `json:"last_action"`
}

// UnmarshalJSON takes the API's names.
func (i *incidentSeen) UnmarshalJSON(raw []byte) error {
	var v struct {
		Type       string `json:"incident_type"`
		State      string `json:"state"`
		Target     string `json:"target"`
		Degraded   bool   `json:"degraded"`
		LastAction string `json:"last_action"`
	}
	err := json.Unmarshal(raw, &v)
	*i = incidentSeen{v.Type, v.State, v.Target, v.Degraded, v.LastAction}
	return err
}

func (p *process) incidents(t *testing.T) []incidentSeen {
	t.Helper()
	var list struct{ Items []incidentSeen }
	if status, err := call(http.MethodGet, p.base+"/api/v1/incidents", nil, &list); err != nil || status != http.StatusOK {
		t.Fatalf("incidents: %d %v", status, err)
	}
	return list.Items
}

// well waits until monitoring has seen enough to call latency and the model agent healthy.
func (p *process) well(t *testing.T) {
	t.Helper()
	until(t, time.Minute, "a healthy service", func() string {
		var report struct {
			Items []struct{ Kind, Target, State string }
		}
		if _, err := call(http.MethodGet, p.base+"/api/v1/signals", nil, &report); err != nil {
			return err.Error()
		}
		missing := map[string]string{"LATENCY_SLO_BREACH service": "unknown", "AGENT_DOWN model": "unknown"}
		for _, s := range report.Items {
			key := s.Kind + " " + s.Target
			if _, wanted := missing[key]; wanted {
				if missing[key] = s.State; s.State == "HEALTHY" {
					delete(missing, key)
				}
			}
		}
		if len(missing) > 0 {
			return fmt.Sprint(missing)
		}
		return ""
	})
}

// checkHealing compares what incidents and actions say with what the targets have recorded, in a directory that nobody has.
func checkHealing(t *testing.T, dir string) {
	t.Helper()
	db := database(t, dir)
	for what, query := range map[string]string{
		"actions took effect twice":                         `SELECT COUNT(*) FROM (SELECT 1 FROM config_history WHERE action_id != '' GROUP BY action_id HAVING COUNT(*) > 1) AS twice`,
		"actions are said to be executed and are not":       `SELECT COUNT(*) FROM healing_actions WHERE executed_at IS NOT NULL AND action_id NOT IN (SELECT action_id FROM executed_actions)`,
		"actions are executed and not said to be":           `SELECT COUNT(*) FROM executed_actions WHERE action_id NOT LIKE '%/model' AND action_id NOT IN (SELECT action_id FROM healing_actions WHERE executed_at IS NOT NULL)`,
		"actions were executed without a decision":          `SELECT COUNT(*) FROM healing_actions WHERE executed_at IS NOT NULL AND agl_decision NOT IN ('APPROVED', 'MODIFIED')`,
		"incidents say degraded while the model decides":    `SELECT COUNT(*) FROM incidents WHERE degraded = TRUE AND (SELECT value FROM desired_state WHERE setting = 'mode') = 'MODEL'`,
		"times the mode is safe and no incident says so":    `SELECT COUNT(*) FROM desired_state WHERE setting = 'mode' AND value = 'SAFE_MODE' AND NOT EXISTS (SELECT 1 FROM incidents WHERE degraded = TRUE)`,
		"causes have two open incidents":                    `SELECT COUNT(*) FROM (SELECT 1 FROM incidents WHERE status IN ('OPEN', 'MITIGATING') GROUP BY fingerprint HAVING COUNT(*) > 1) AS twice`,
		"nonces were used for two actions":                  `SELECT COUNT(*) FROM (SELECT 1 FROM used_nonces GROUP BY action_id HAVING COUNT(*) > 1) AS twice`,
		"alias changes have no line in the champion's past": `SELECT COUNT(*) FROM alias_history h WHERE alias = 'champion' AND NOT EXISTS (SELECT 1 FROM config_history c WHERE c.setting = 'champion' AND c.value = CAST(h.version AS TEXT))`,
	} {
		var n int
		if err := db.QueryRow(query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if n > 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	cfg := config.Default()
	cfg.Data.Dir, cfg.Store.URL = dir, serverOf(dir)
	if r, err := app.VerifyAudit(t.Context(), cfg); err != nil || !r.OK || r.Records == 0 {
		t.Errorf("the audit doesn't verify: %+v, %v", r, err)
	}
}

// TestStoppedProcess stops the real process under load, as a laptop that sleeps does, and lets it go on: nothing is healed
// that was not broken, nobody is restarted, and what was accepted is decided.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	pause := 6 * time.Second
	if os.Getenv("AURA_KILLS") != "" {
		pause = 20 * time.Second
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "--simulate", "50")
	p.well(t)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause) // the pause is what is tested
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	p.well(t)
	until(t, 30*time.Second, "as much time again", func() string { // what is late must have had its chance
		if time.Since(resumed) < 8*time.Second {
			return "not yet"
		}
		return ""
	})
	var agents struct {
		Items []struct {
			Name        string
			Incarnation int64
			Restarts    int64
		}
	}
	if _, err := call(http.MethodGet, p.base+"/api/v1/agents", nil, &agents); err != nil || len(agents.Items) < 7 {
		t.Fatalf("%+v %v", agents, err)
	}
	for _, a := range agents.Items {
		if a.Restarts != 0 {
			t.Errorf("%s was restarted %d times", a.Name, a.Restarts)
		}
	}
	if err := p.interrupt(t); err != nil {
		t.Errorf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	db := database(t, dir)
	var n int
	if err := db.QueryRow(`SELECT COUNT(*) FROM executed_actions`).Scan(&n); err != nil || n > 0 {
		t.Errorf("%d actions after a pause, %v", n, err)
	}
	checkBook(t, dir, newBook())
	checkHealing(t, dir)
	if t.Failed() {
		t.Log(tail(p.out.String(), 40))
	}
}
