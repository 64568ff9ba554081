package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"aura/app"
)

const prometheusFiles = "../deploy/prometheus"

// prometheusProgram finds a program of Prometheus. Without AURA_TEST_PROMETHEUS the test is skipped; with it, as in CI, it fails
// where the program isn't there.
func prometheusProgram(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("AURA_TEST_PROMETHEUS") == "" {
		t.Skip("needs a real Prometheus: .ci/run prometheus installs it and runs this")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; it comes with Debian's package prometheus", err)
	}
	return path
}

// TestPromtool checks the files that are shipped, and runs the unit tests of the rules.
func TestPromtool(t *testing.T) {
	promtool := prometheusProgram(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yaml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"},
		{"test", "rules", "rules_test.yaml", "burn_test.yaml"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(promtool, args...)
			cmd.Dir = prometheusFiles
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestPrometheus has a real Prometheus scrape the real program by the files that are shipped: a latency that nobody heals
// makes an alert fire, that one alone, and its end ends it.
func TestPrometheus(t *testing.T) {
	server, promtool := prometheusProgram(t, "prometheus"), prometheusProgram(t, "promtool")
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "--simulate", "10", "--set", "healing.enabled=false")
	m := startPrometheus(t, server, strings.TrimPrefix(p.base, "http://"))
	until(t, 30*time.Second, "decisions that Prometheus has seen", func() string {
		return m.atLeast(`sum(aura_decision_duration_seconds_bucket{le="0.3"})`, 20)
	})
	if missing := m.atLeast(`up{job="aura"}`, 1); missing != "" {
		t.Error(missing)
	}
	if firing := m.firing(); firing != "" {
		t.Errorf("all is well, and %s fires", firing)
	}
	checkMetrics(t, promtool, p.base)

	var fault struct{ ID string }
	if status, err := call(http.MethodPost, p.base+"/api/v1/faults",
		map[string]any{"target": "model", "kind": "latency", "delay": "400ms", "share": 1, "ttl": "5m"}, &fault); err != nil || status/100 != 2 {
		t.Fatalf("fault: %d %v", status, err)
	}
	began := time.Now()
	until(t, 3*time.Minute, "AuraDecisionsLate", func() string {
		if firing := m.firing(); firing != "AuraDecisionsLate" { // the burn of a budget takes longer to be known
			return "firing: " + firing
		}
		return ""
	})
	t.Logf("AuraDecisionsLate fires %.0f s after the fault", time.Since(began).Seconds())
	if status, err := call(http.MethodDelete, p.base+"/api/v1/faults/"+fault.ID, nil, nil); err != nil || status/100 != 2 {
		t.Fatalf("end of the fault: %d %v", status, err)
	}
	began = time.Now()
	until(t, 3*time.Minute, "the end of AuraDecisionsLate", func() string {
		if firing := m.firing(); firing != "" {
			return "firing: " + firing
		}
		return ""
	})
	t.Logf("AuraDecisionsLate is over %.0f s after the fault's end", time.Since(began).Seconds())
	m.checkDashboards(app.DashboardQueries(t)) // now there are samples enough for all of them
}

// checkMetrics has promtool judge /metrics as it comes over the wire.
func checkMetrics(t *testing.T, promtool, base string) {
	t.Helper()
	_, body := get(t, base+"/metrics")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// checkDashboards sees that each expression of the dashboards has an answer, with what Grafana puts in the place of its variables.
func (s *prometheusServer) checkDashboards(queries map[string][]string) {
	s.t.Helper()
	variables := strings.NewReplacer("$job", "aura", "$instance", ".+", "$__rate_interval", "20s")
	for at, list := range queries {
		for _, expr := range list {
			until(s.t, time.Minute, at, func() string {
				var answer struct{ Data struct{ Result []any } }
				status, err := call(http.MethodGet, s.base+"/api/v1/query?query="+url.QueryEscape(variables.Replace(expr)), nil, &answer)
				if err != nil || status != http.StatusOK || len(answer.Data.Result) == 0 {
					return fmt.Sprintf("%s: %d %v, no answer", expr, status, err)
				}
				return ""
			})
		}
	}
}

// prometheusServer is a running Prometheus.
type prometheusServer struct {
	t    *testing.T
	base string
}

// startPrometheus runs one with the shipped configuration, but for the target's address and its pace, which is a second.
func startPrometheus(t *testing.T, program, target string) *prometheusServer {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(prometheusFiles, "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(raw), "127.0.0.1:8080", target)), &config); err != nil {
		t.Fatal(err)
	}
	config["global"] = map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"}
	rules, err := filepath.Abs(filepath.Join(prometheusFiles, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config["rule_files"] = []string{rules}
	if raw, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out := &safeBuffer{}
	cmd := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &prometheusServer{t: t}
	listening := regexp.MustCompile(`msg="Listening on" address=(127\.0\.0\.1:[1-9]\d*)`)
	until(t, 30*time.Second, "a Prometheus that is ready", func() string {
		at := listening.FindStringSubmatch(out.String())
		if at == nil {
			return "it doesn't listen yet: " + tail(out.String(), 5)
		}
		s.base = "http://" + at[1]
		r, err := http.Get(s.base + "/-/ready")
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return r.Status
		}
		return ""
	})
	return s
}

// atLeast is "" where an expression's one sample has a value, and what is wrong where not.
func (s *prometheusServer) atLeast(expr string, least float64) string {
	s.t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	status, err := call(http.MethodGet, s.base+"/api/v1/query?query="+url.QueryEscape(expr), nil, &answer)
	if err != nil || status != http.StatusOK {
		return fmt.Sprint(status, err)
	}
	var value float64
	if r := answer.Data.Result; len(r) == 1 {
		_, err = fmt.Sscan(fmt.Sprint(r[0].Value[1]), &value)
	}
	if err != nil || value < least {
		return fmt.Sprintf("%s: %+v, want at least %g", expr, answer.Data.Result, least)
	}
	return ""
}

// firing names the alerts that fire.
func (s *prometheusServer) firing() string {
	s.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if status, err := call(http.MethodGet, s.base+"/api/v1/alerts", nil, &answer); err != nil || status != http.StatusOK {
		s.t.Fatal(status, err)
	}
	var names []string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	return strings.Join(names, " ")
}
