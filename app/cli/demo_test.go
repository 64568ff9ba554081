package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"aura/app/config"
)

func TestDemo(t *testing.T) {
	var got DemoRequest
	var loaded config.Loaded
	ended := error(nil)
	commands := Commands{Demo: func(_ context.Context, c config.Loaded, r DemoRequest) (Report, error) {
		got, loaded = r, c
		return report{7}, ended
	}}
	o := try(t, commands, nil, "demo", "drift", "--feature", "income", "--mean", "0", "--share", "0.5", "--seed", "9", "--rate", "80", "--keep")
	if o.code != 0 || o.out != "decisions 7\n" {
		t.Fatalf("exit %d: %q %s", o.code, o.out, o.err)
	}
	if c := got.Change; len(got.Drills) != 1 || got.Drills[0] != "drift" || c.Feature != "income" || c.Mean == nil || *c.Mean != 0 || c.Share != .5 || !got.Keep || got.JSON {
		t.Errorf("%+v", got)
	}
	if c := loaded.Config; c.Seed != 9 || c.Simulate.Rate != 80 {
		t.Errorf("seed %d, rate %g", c.Seed, c.Simulate.Rate)
	}
	if o := try(t, commands, nil, "demo", "latency", "--delay", "400ms"); o.code != 0 || got.Change.Delay != 400*time.Millisecond || got.Change.Mean != nil {
		t.Errorf("exit %d: %+v %s", o.code, got, o.err)
	}
	ended = Exit(ExitMissed, errors.New("not healed: denied"), "")
	o = try(t, commands, nil, "demo", "all", "--seeds", "20", "--parallel", "2", "-o", "json")
	if o.code != 99 || !json.Valid([]byte(o.out)) || !strings.Contains(o.err, "denied") || len(got.Drills) != len(drills) || got.Seeds != 20 || got.Parallel != 2 || !got.JSON {
		t.Errorf("exit %d: %q %s %+v", o.code, o.out, o.err, got)
	}
}

func TestWrongDemos(t *testing.T) {
	for want, args := range map[string][]string{
		"latency, accuracy, drift": {"flood"},
		"aura demo latency|":       {},
		"--delay means nothing":    {"hang", "--delay", "2s"},
		"--target means nothing":   {"all", "--target", "model"},
		"--share above 0":          {"latency", "--share", "0"},
		"--delay such as 2s":       {"latency", "--delay", "0s"},
		"say how it moves":         {"drift", "--feature", "income"},
		"name the column":          {"drift", "--scale", "2"},
		"--seeds between":          {"latency", "--seeds", "0"},
		"--parallel between":       {"latency", "--parallel", "65"},
	} {
		o := try(t, Commands{}, nil, append([]string{"demo"}, args...)...)
		if o.code != 2 || !strings.Contains(o.err, want) || o.out != "" {
			t.Errorf("%v: exit %d, want %q in %q, stdout %q", args, o.code, want, o.err, o.out)
		}
	}
}

// Completion knows the drills.
func TestDemoCompletion(t *testing.T) {
	if o := try(t, Commands{}, nil, "__complete", "demo", ""); !strings.Contains(o.out, "agent-down") || !strings.Contains(o.out, "all") {
		t.Errorf("%q", o.out)
	}
}
