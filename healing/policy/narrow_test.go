package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func proposed() Proposal {
	return Proposal{
		Purpose: Forward, Action: Action{Type: "RESTART_AGENT", Params: map[string]string{"agent": "model"}},
		Bounds: Bounds{ExecuteWithin: 10 * time.Second, VerifyWithin: 15 * time.Second, Dwell: time.Second},
	}
}

// TestNarrow: each parameter can only make an action less, and what it becomes has a digest of its own.
func TestNarrow(t *testing.T) {
	p := proposed()
	a, err := Narrow(p, map[string]string{ParamExecuteWithin: "2s", ParamVerifyWithin: "10s", ParamDwell: "5000ms"})
	if err != nil || a.Params["agent"] != "model" || a.Params[ParamDwell] != "5s" || a.Params[ParamVerifyWithin] != "10s" {
		t.Fatalf("%+v, %v", a, err)
	}
	if a.Digest() == p.Action.Digest() || len(p.Action.Params) != 1 {
		t.Errorf("the proposal is %+v", p.Action)
	}
	for name, c := range map[string]struct {
		purpose string
		changes map[string]string
		want    string
	}{
		"nothing":        {Forward, nil, "nothing is modified"},
		"another agent":  {Forward, map[string]string{"agent": "feature"}, "can't be modified"},
		"no time":        {Forward, map[string]string{ParamDwell: "soon"}, "no positive duration"},
		"negative":       {Forward, map[string]string{ParamDwell: "-5s"}, "no positive duration"},
		"later":          {Forward, map[string]string{ParamExecuteWithin: "11s"}, "wider"},
		"longer to help": {Forward, map[string]string{ParamVerifyWithin: "1m"}, "wider"},
		"counts sooner":  {Forward, map[string]string{ParamDwell: "1ms"}, "wider"},
		"never in time":  {Forward, map[string]string{ParamExecuteWithin: "1ns"}, "execute_within: 1ns is less than 1s"},
		"never helps":    {Forward, map[string]string{ParamVerifyWithin: "999ms"}, "verify_within: 999ms is less than 1s"},
		"impossible":     {Forward, map[string]string{ParamDwell: "15s"}, "not shorter"},
		"undo":           {Undo, map[string]string{ParamDwell: "5s"}, "taking an own action back"},
	} {
		p.Purpose = c.purpose
		var narrow *NarrowError
		if _, err := Narrow(p, c.changes); !errors.As(err, &narrow) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheLeastIsAllowed: a second is, and a rule is refused for less where it is read, as it would lose every rung.
func TestTheLeastIsAllowed(t *testing.T) {
	least := map[string]string{ParamExecuteWithin: "1s", ParamVerifyWithin: "2s"}
	if _, err := Narrow(proposed(), least); err != nil {
		t.Error(err)
	}
	_, err := Compile([]Rule{{"hasty", "true", Modified, "be quick", map[string]string{ParamExecuteWithin: "1ns"}}})
	if err == nil || !strings.Contains(err.Error(), "execute_within: 1ns is less than 1s") {
		t.Error(err)
	}
}

// TestARuleTightens what is wider than it says, and approves what is narrow enough.
func TestARuleTightens(t *testing.T) {
	policy, err := Compile([]Rule{{"careful", "true", Modified, "be quick", map[string]string{ParamVerifyWithin: "12s", ParamDwell: "1s"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := proposed()
	d := policy.Decide(Input{}, time.Unix(9, 0))
	if a := d.Apply(p); d.AGL != Modified || d.Modified == nil || a.Params[ParamVerifyWithin] != "12s" || a.Params[ParamDwell] != "" {
		t.Errorf("%+v", d)
	}
	p.Bounds.VerifyWithin = 5 * time.Second
	d = policy.Decide(Input{}, time.Unix(9, 0))
	if a := d.Apply(p); d.AGL != Approved || d.Modified != nil || a.Digest() != p.Action.Digest() {
		t.Errorf("%+v", d)
	}
}
