package playbook

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestDefaultIsSoundAndSurvivesYAML(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := yaml.Marshal(p)
	if err != nil || string(again) != string(raw) {
		t.Errorf("%v\n%s\n%s", err, raw, again)
	}
	for kind, first := range map[string]string{"LATENCY_SLO_BREACH": "ENABLE_SAFE_MODE", "PERF_DROP": "ROLLBACK_MODEL", "AGENT_DOWN": "RESTART_AGENT"} {
		if p[kind][0].Action != first {
			t.Errorf("%s starts with %s", kind, p[kind][0].Action)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := Parse([]byte("LATENCY_SLO_BREACH:\n- {action: RESTART_AGENT, params: {agent: model}, verification: signal, dwell: 1500ms, cooldown: 1m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := p["LATENCY_SLO_BREACH"]
	if len(r) != 1 || r[0].Dwell != 1500*time.Millisecond || r[0].Params["agent"] != "model" || len(p["PERF_DROP"]) != len(Default()["PERF_DROP"]) {
		t.Errorf("%+v", p)
	}
	if p, err := Parse(nil); err != nil || len(p) != 4 {
		t.Errorf("empty: %v, %v", p, err)
	}
}

func TestParseNamesFieldAndRemedy(t *testing.T) {
	for _, c := range []struct{ yaml, field, problem string }{
		{"FIRE: [{action: RESTART_AGENT, verification: agent}]", "FIRE", "no such incident kind"},
		{"PERF_DROP: []", "PERF_DROP", "empty ladder"},
		{"PERF_DROP:", "PERF_DROP", "empty ladder"},
		{"PERF_DROP: [{action: REBOOT, verification: signal}]", "PERF_DROP[0].action", `"REBOOT"`},
		{"PERF_DROP: [{verification: signal}]", "PERF_DROP[0].action", "unknown action"},
		{"PERF_DROP: [{action: PROMOTE_MODEL, verification: signal}]", "PERF_DROP[0].action", "unknown action"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent}, {action: RESTART_AGENT}]", "AGENT_DOWN[1].verification", "no verification"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: hope}]", "AGENT_DOWN[0].verification", "hope"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, dwell: -1s}]", "AGENT_DOWN[0].dwell", "negative"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, cooldown: -1s}]", "AGENT_DOWN[0].cooldown", "negative"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, dwell: 5s, verify_within: 5s}]", "AGENT_DOWN[0].dwell", "verify_within"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, dwell: 60s}]", "AGENT_DOWN[0].dwell", "verify_within, 1m0s"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, verify_within: 99999h}]", "AGENT_DOWN[0].verify_within", "99999h0m0s is too long"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, execute_within: 24h1s}]", "AGENT_DOWN[0].execute_within", "too long"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, cooldown: 2h}]", "AGENT_DOWN[0].cooldown", "too long"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, requires: [model_agent, foo]}]", "AGENT_DOWN[0].requires", `unknown fact "foo"`},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent}, {action: RESTART_AGENT, verification: agent}]", "AGENT_DOWN[1]", "the same rung"},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, params: {agnet: model}}]", "AGENT_DOWN[0].params", `no parameter "agnet"`},
		{"AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, params: {agent: ''}}]", "AGENT_DOWN[0].params.agent", "empty"},
		{"PERF_DROP: [{action: ROLLBACK_MODEL, verification: signal, params: {version: '3'}}]", "PERF_DROP[0].params", `takes none, got "version"`},
		{"LATENCY_SLO_BREACH: [{action: ENABLE_SAFE_MODE, verification: signal, then: {promote: [PROMOTE_MODEL]}}]", "LATENCY_SLO_BREACH[0].then", "ENABLE_SAFE_MODE has no outcomes that anything could follow, got promote"},
		{"PERF_DROP: [{action: TRIGGER_RETRAINING, verification: signal, then: {promot: [PROMOTE_MODEL]}}]", "PERF_DROP[0].then.promot", `no outcome "promot"`},
		{"PERF_DROP: [{action: TRIGGER_RETRAINING, verification: signal, then: {keep: [PROMOTE_MODEL]}}]", "PERF_DROP[0].then.keep", `"PROMOTE_MODEL" can't follow`},
		{"PERF_DROP: [{action: TRIGGER_RETRAINING, verification: signal, then: {promote: [PROMOTE_MODEL, PROMOTE_MODEL]}}]", "PERF_DROP[0].then.promote", "twice"},
		{"DATA_DRIFT: [{action: TRIGGER_RETRAINING, verification: reference}]", "DATA_DRIFT[0].then", "nothing follows"},
		{"DATA_DRIFT: [{action: TRIGGER_RETRAINING, verification: reference, then: {keep: []}}]", "DATA_DRIFT[0].then.keep", "0 actions"},
		{"DATA_DRIFT: [{action: TRIGGER_RETRAINING, verification: reference, then: {keep: [RESTART_AGENT]}}]", "DATA_DRIFT[0].then.keep", "RESTART_AGENT"},
	} {
		_, err := Parse([]byte(c.yaml))
		var bad *FieldError
		if !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Problem, c.problem) || bad.Remedy == "" {
			t.Errorf("%s: %v; want %s: %s", c.yaml, err, c.field, c.problem)
		}
	}
	for _, yaml := range []string{"PERF_DROP: [{action: RESTART_AGENT, verification: agent, colour: red}]", "- a", "PERF_DROP: [{action: RESTART_AGENT, verification: agent, dwell: soon}]", "a: b\n---\nc: d", "PERF_DROP: [}"} {
		if _, err := Parse([]byte(yaml)); err == nil || !strings.HasPrefix(err.Error(), "playbooks") {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

// TestTimesAtTheirBounds: what is refused beyond them is taken at them, and a remedy says what the default stands for.
func TestTimesAtTheirBounds(t *testing.T) {
	const rung = "AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, "
	if _, err := Parse([]byte(rung + "execute_within: 24h, verify_within: 24h, dwell: 23h, cooldown: 1h}, {action: RESTART_AGENT, verification: agent}]")); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"execute_within: -1s": "0s (the default, which means 30s) to 24h", "verify_within: -1s": "which means 1m) to 24h",
		"dwell: -1s": "healthy once is enough", "cooldown: -1s": "that of governance.limits) to 1h",
	} {
		if _, err := Parse([]byte(rung + text + "}]")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLadderFollowsOnlyPermutations(t *testing.T) {
	p := Default()
	configured := p.Ladder("LATENCY_SLO_BREACH", nil)
	swapped := p.Ladder("LATENCY_SLO_BREACH", func(a []string) ([]int, []string) {
		if !slices.Equal(a, []string{"ENABLE_SAFE_MODE", "RESTART_AGENT"}) {
			t.Errorf("%v", a)
		}
		return []int{1, 0}, []string{"worked", "did not"}
	})
	if swapped[0].Action != "RESTART_AGENT" || swapped[0].Why != "worked" || swapped[1].Action != "ENABLE_SAFE_MODE" {
		t.Errorf("%+v", swapped)
	}
	for _, order := range [][]int{{0, 0}, {1}, {0, 1, 2}, {-1, 0}, nil} {
		got := p.Ladder("LATENCY_SLO_BREACH", func([]string) ([]int, []string) { return order, make([]string, len(order)) })
		for i := range configured {
			if got[i].Action != configured[i].Action || got[i].Why == "" {
				t.Errorf("order %v was followed: %+v", order, got)
			}
		}
	}
	if p.Ladder("BUS_DOWN", nil) != nil {
		t.Error("BUS_DOWN has a ladder")
	}
	if Default()["LATENCY_SLO_BREACH"][0].Why != "" || p["LATENCY_SLO_BREACH"][0].Why != "" {
		t.Error("the playbook itself was changed")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PERF_DROP: [{action: RESTART_AGENT, verification: agent}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err == nil && p.Validate() != nil {
			t.Fatalf("accepted %q", raw)
		}
	})
}
