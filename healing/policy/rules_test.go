package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func safeMode() Input {
	return Input{
		ActionID: "i1/a1", Action: "ENABLE_SAFE_MODE", Touches: []string{"mode"}, Purpose: Forward, IncidentID: "i1",
		IncidentType: "LATENCY_SLO_BREACH", Profile: Demo, Proposer: "healing", Limit: Verdict{Within: true},
	}
}

func TestDefaultRules(t *testing.T) {
	p, err := Compile(DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		change    func(*Input)
		agl, rule string
	}{
		{"demo", func(*Input) {}, Approved, "demo"},
		{"supervised", func(in *Input) { in.Profile = Supervised }, Escalated, "supervised"},
		{"off", func(in *Input) { in.Profile = Off }, Denied, "off"},
		{"off, undo", func(in *Input) { in.Profile, in.Purpose = Off, Undo }, Denied, "off"},
		{"no such profile", func(in *Input) { in.Profile = "" }, Denied, "default"},
		{"no such action", func(in *Input) { in.Action = "DROP_TABLES" }, Denied, "default"},
		{"no such purpose", func(in *Input) { in.Purpose = "" }, Denied, "default"},
		{"paused", func(in *Input) { in.Paused = true }, Denied, "paused"},
		{"paused, undo", func(in *Input) { in.Paused, in.Purpose = true, Undo }, Approved, "undo"},
		{"paused, restore", func(in *Input) { in.Paused, in.Purpose, in.Action = true, Restore, "DISABLE_SAFE_MODE" }, Approved, "restore"},
		{"freeze", func(in *Input) { in.Freeze = true }, Denied, "freeze"},
		{"hold", func(in *Input) { in.Holds = []string{"mode"} }, Denied, "hold"},
		{"hold, undo", func(in *Input) { in.Holds, in.Purpose = []string{"mode"}, Undo }, Denied, "hold"},
		{"hold of something else", func(in *Input) { in.Holds = []string{"champion"} }, Approved, "demo"},
		{"limits", func(in *Input) { in.Limit = Verdict{Reason: "20 of 20"} }, Denied, "limits"},
		{"limits, supervised", func(in *Input) { in.Limit, in.Profile = Verdict{}, Supervised }, Denied, "limits"},
		{"limits, undo", func(in *Input) { in.Limit, in.Purpose = Verdict{}, Undo }, Approved, "undo"},
		{"restore, limits", func(in *Input) { in.Limit, in.Purpose = Verdict{}, Restore }, Approved, "restore"},
		{"restore, supervised", func(in *Input) { in.Purpose, in.Profile = Restore, Supervised }, Escalated, "supervised"},
		{"platform", func(in *Input) { in.Unhealthy = 0.8 }, Denied, "platform"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := safeMode()
			c.change(&in)
			d := p.Decide(in, t0)
			if d.AGL != c.agl || d.Rule != c.rule {
				t.Fatalf("%s by %s (%s); want %s by %s", d.AGL, d.Rule, d.Reason, c.agl, c.rule)
			}
			if c.name == "limits" && d.Reason != "over a limit: 20 of 20" {
				t.Errorf("reason %q", d.Reason)
			}
			if d.Version != p.Version() || d.Input.ActionID != "i1/a1" || d.Reason == "" || !d.At.Equal(t0) {
				t.Errorf("the decision does not carry what made it: %+v", d)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADenialThatTheClockLiftsSaysWhen(t *testing.T) {
	p, err := Compile(DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	cooling := Verdict{Reason: "cooldown: 852ms left", Cooldown: 852 * time.Millisecond, Wait: 852 * time.Millisecond}
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   time.Time
	}{
		{"cooldown", func(*Input) {}, t0.Add(852 * time.Millisecond)},
		{"a person decides then", func(in *Input) { in.Profile = Supervised }, t0.Add(852 * time.Millisecond)},
		{"no matter of the clock", func(in *Input) { in.Limit.Wait = 0 }, time.Time{}},
		{"denied by another rule", func(in *Input) { in.Freeze = true }, time.Time{}},
		{"denied by the rule after it", func(in *Input) { in.Action = "DROP_TABLES" }, time.Time{}},
		{"undo", func(in *Input) { in.Purpose = Undo }, time.Time{}},
	} {
		in := safeMode()
		in.Limit = cooling
		c.change(&in)
		if d := p.Decide(in, t0); !d.RetryAt.Equal(c.want) || d.Input.Limit.Reason != cooling.Reason {
			t.Errorf("%s: %s by %s, again at %v, want %v", c.name, d.AGL, d.Rule, d.RetryAt, c.want)
		}
	}
}

func TestNoLimitReachedIsSaid(t *testing.T) {
	p, err := Compile([]Rule{{"nosafe", "true", Denied, "no safe mode for latency ({limit})", nil}})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(safeMode(), t0); d.Reason != "no safe mode for latency (no limit is reached)" {
		t.Error(d.Reason)
	}
}

func TestCompileNamesTheRule(t *testing.T) {
	ok := Rule{"ok", "true", Approved, "why not", nil}
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{"syntax", "action ==", Denied, "", nil}, "syntax"},
		{Rule{"unknown", "colour == 'red'", Denied, "", nil}, "colour"},
		{Rule{"type", "hour + 1", Denied, "", nil}, "true or false"},
		{Rule{"mixed", "hour == 'x'", Denied, "", nil}, "overload"},
		{Rule{"verb", "true", "MAYBE", "", nil}, "APPROVED, MODIFIED, DENIED or ESCALATED"},
		{Rule{"", "true", Denied, "", nil}, "no name"},
		{Rule{"how", "true", Modified, "", nil}, "modify says how"},
		{Rule{"what", "true", Approved, "", map[string]string{"dwell": "1s"}}, "modify says how"},
		{Rule{"which", "true", Modified, "", map[string]string{"version": "3"}}, "version: it can't be modified"},
		{Rule{"time", "true", Modified, "", map[string]string{"dwell": "-1s"}}, "no positive duration"},
		{Rule{"both", "true", Modified, "", map[string]string{"dwell": "9s", "verify_within": "5s"}}, "not shorter"},
		{Rule{"never", "true", Modified, "", map[string]string{"dwell": "99999h"}}, "at most 24h"},
		{Rule{"wide", "true", Modified, "", map[string]string{"execute_within": "25h"}}, "at most 24h"},
		{Rule{"ok", "true", Denied, "", nil}, "taken"},
		{Rule{"default", "true", Denied, "", nil}, "taken"},
		{Rule{"silent", "true", Denied, " ", nil}, "no reason"},
		{Rule{"slip", `action == "ENABLE_SAFEMODE"`, Denied, "x", nil}, `action is never "ENABLE_SAFEMODE"; give of ENABLE_SAFE_MODE,`},
		{Rule{"turned", `paused || "ENABLE_SAFEMODE" != action`, Denied, "x", nil}, `never "ENABLE_SAFEMODE"`},
		{Rule{"listed", `!(action in ["RESTART_AGENT", "REBOOT"])`, Denied, "x", nil}, `action is never "REBOOT"`},
		{Rule{"kind", `incident_type == "EARTHQUAKE"`, Denied, "x", nil}, `incident_type is never "EARTHQUAKE"; give of LATENCY_SLO_BREACH, PERF_DROP, DATA_DRIFT, AGENT_DOWN, BUS_DOWN`},
		{Rule{"purpose", `purpose == "forward"`, Denied, "x", nil}, `purpose is never "forward"`},
		{Rule{"profile", `profile == "staging"`, Denied, "x", nil}, `profile is never "staging"`},
		{Rule{"mode", `mode == "SAFE"`, Denied, "x", nil}, `mode is never "SAFE"`},
	} {
		_, err := Compile([]Rule{ok, c.rule})
		var bad *RuleError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || c.rule.Name != "" && bad.Rule != c.rule.Name {
			t.Errorf("%+v: %v, want %q", c.rule, err, c.want)
		}
	}
	if _, err := Compile(nil); err == nil {
		t.Error("no rules were accepted")
	}
}

func TestWhatCannotBeEvaluatedDenies(t *testing.T) {
	for name, when := range map[string]string{
		"missing key": `action == "RESTART_AGENT" || params["no such"] == "x"`, // the trial at load is of a restart
		"cost":        `touches.all(a, touches.all(b, touches.all(c, touches.all(d, a + b + c + d != "x"))))`,
	} {
		p, err := Compile([]Rule{{name, when, Approved, "x", nil}, {"rest", "true", Approved, "x", nil}})
		if err != nil {
			t.Fatal(err)
		}
		in := safeMode()
		for range 20 {
			in.Touches = append(in.Touches, "mode")
		}
		if d := p.Decide(in, t0); d.AGL != Denied || d.Rule != name {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	p, err := Compile([]Rule{
		{"night", "hour < 6 || hour >= 22", Escalated, "at night a person decides", nil},
		{"restart", `action == "RESTART_AGENT" && "agent:model" in touches`, Approved, "it comes back", nil},
		{"busy", `counts["in_flight"] > 0`, Denied, "one at a time", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := safeMode()
	in.Action, in.Touches, in.Hour = "RESTART_AGENT", []string{"agent:model"}, 12
	if d := p.Decide(in, t0); d.Rule != "restart" || len(d.Skipped) != 1 {
		t.Errorf("%+v", d)
	}
	in.Hour = 23
	if d := p.Decide(in, t0); d.AGL != Escalated {
		t.Errorf("%+v", d)
	}
}
