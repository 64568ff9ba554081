package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
)

// maxCost bounds what one rule may compute, in CEL's units; a rule over it denies.
const maxCost = 10_000

// maxRules bounds a policy.
const maxRules = 200

// Rule is one line of a policy: the first whose condition holds decides.
type Rule struct {
	Name   string `json:"name" yaml:"name"`
	When   string `json:"when" yaml:"when"`     // CEL, of type bool
	Decide string `json:"decide" yaml:"decide"` // APPROVED, MODIFIED, DENIED or ESCALATED (to a person)
	Reason string `json:"reason" yaml:"reason"` // {limit} stands for the limit that is reached
	// Modify, with MODIFIED: narrower execute_within, verify_within or dwell. What isn't narrower than proposed stays.
	Modify map[string]string `json:"modify,omitempty" yaml:"modify"`
}

// RuleError is a policy that can't be used.
type RuleError struct{ Rule, Problem string }

func (e *RuleError) Error() string { return "policy: rule " + e.Rule + ": " + e.Problem }

// Policy is a compiled list of rules.
type Policy struct {
	rules    []Rule
	programs []cel.Program
	version  string
}

// Version is a digest of the rules: what a decision was made by.
func (p *Policy) Version() string { return p.version }

// Rules are the rules in order.
func (p *Policy) Rules() []Rule { return append([]Rule(nil), p.rules...) }

func environment() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("action", cel.StringType), cel.Variable("params", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("touches", cel.ListType(cel.StringType)), cel.Variable("purpose", cel.StringType),
		cel.Variable("incident_id", cel.StringType), cel.Variable("incident_type", cel.StringType),
		cel.Variable("target", cel.StringType), cel.Variable("fingerprint", cel.StringType),
		cel.Variable("mode", cel.StringType), cel.Variable("profile", cel.StringType), cel.Variable("proposer", cel.StringType),
		cel.Variable("dry_run", cel.BoolType), cel.Variable("freeze", cel.BoolType), cel.Variable("paused", cel.BoolType),
		cel.Variable("held", cel.BoolType), cel.Variable("unhealthy", cel.DoubleType), cel.Variable("hour", cel.IntType),
		cel.Variable("within_limits", cel.BoolType), cel.Variable("breaker_open", cel.BoolType),
		cel.Variable("counts", cel.MapType(cel.StringType, cel.IntType)),
	)
}

func (in Input) variables() map[string]any {
	params, touches := in.Params, in.Touches
	if params == nil {
		params = map[string]string{}
	}
	if touches == nil {
		touches = []string{}
	}
	return map[string]any{
		"action": in.Action, "params": params, "touches": touches, "purpose": in.Purpose, "incident_id": in.IncidentID,
		"incident_type": in.IncidentType, "target": in.Target, "fingerprint": in.Fingerprint, "mode": in.Mode,
		"profile": in.Profile, "proposer": in.Proposer, "dry_run": in.DryRun, "freeze": in.Freeze, "paused": in.Paused,
		"held": in.held(), "unhealthy": in.Unhealthy, "hour": int64(in.Hour), "within_limits": in.Limit.Within,
		"breaker_open": in.Limit.Breaker, "counts": in.Limit.counts(),
	}
}

func (v Verdict) counts() map[string]int64 {
	return map[string]int64{
		"target_hour": int64(v.TargetHour), "target_day": int64(v.TargetDay),
		"global_hour": int64(v.GlobalHour), "global_day": int64(v.GlobalDay), "in_flight": int64(v.InFlight),
	}
}

// Compile checks and compiles rules. An error is a *RuleError that names the rule.
func Compile(rules []Rule) (*Policy, error) {
	if len(rules) == 0 || len(rules) > maxRules {
		return nil, &RuleError{"(all)", fmt.Sprintf("%d rules; give 1 to %d", len(rules), maxRules)}
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("policy: CEL environment: %w", err)
	}
	p := &Policy{rules: append([]Rule(nil), rules...)}
	seen := map[string]bool{}
	for i, r := range rules {
		switch {
		case r.Name == "":
			return nil, &RuleError{fmt.Sprintf("number %d", i+1), "it has no name"}
		case seen[r.Name] || r.Name == defaultRule:
			return nil, &RuleError{r.Name, "the name is taken; give each rule its own"}
		case !slices.Contains([]string{Approved, Modified, Denied, Escalated}, r.Decide):
			return nil, &RuleError{r.Name, fmt.Sprintf("decide is %q; it must be APPROVED, MODIFIED, DENIED or ESCALATED", r.Decide)}
		case (r.Decide == Modified) != (len(r.Modify) > 0):
			return nil, &RuleError{r.Name, "modify says how, with decide MODIFIED and only with it; give one of " + strings.Join(narrowing, ", ")}
		}
		if r.Decide == Modified {
			if err := useful(r.Modify); err != nil {
				return nil, &RuleError{r.Name, "modify: " + err.Error()}
			}
		}
		if m := placeholder.FindString(strings.ReplaceAll(r.Reason, limitMark, "")); m != "" {
			return nil, &RuleError{r.Name, fmt.Sprintf("reason: nothing stands for %s; only %s does, for the limit that is reached", m, limitMark)}
		}
		seen[r.Name] = true
		program, err := compile(env, r)
		if err != nil {
			return nil, err
		}
		if err := try(r, program); err != nil {
			return nil, err
		}
		if strings.TrimSpace(r.Reason) == "" {
			return nil, &RuleError{r.Name, "it has no reason; say why it decides so: that is kept with each decision"}
		}
		p.programs = append(p.programs, program)
	}
	raw, err := json.Marshal(rules)
	if err != nil {
		return nil, fmt.Errorf("policy: rules: %w", err)
	}
	sum := sha256.Sum256(raw)
	p.version = hex.EncodeToString(sum[:8])
	return p, nil
}

func compile(env *cel.Env, r Rule) (cel.Program, error) {
	ast, issues := env.Compile(r.When)
	if issues.Err() != nil {
		return nil, &RuleError{r.Name, "when: " + issues.Err().Error()}
	}
	if ast.OutputType() != cel.BoolType {
		return nil, &RuleError{r.Name, fmt.Sprintf("when: it yields %s; it must yield true or false", ast.OutputType())}
	}
	if key := unknownCount(ast); key != "" {
		return nil, &RuleError{r.Name, fmt.Sprintf("when: there is no counts.%s; give one of %s", key, strings.Join(countNames(), ", "))}
	}
	if name, value := unknownValue(ast); name != "" {
		return nil, &RuleError{r.Name, fmt.Sprintf("when: %s is never %q; give of %s", name, value, strings.Join(values[name], ", "))}
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, &RuleError{r.Name, "when: " + err.Error()}
	}
	return program, nil
}

const defaultRule = "default"

// Decide applies the rules: the first that matches decides, none denies, and so does one that can't be evaluated. A denial
// that the clock alone will lift says when.
func (p *Policy) Decide(in Input, now time.Time) Decision {
	d := p.first(in, now)
	if d.AGL == Denied && in.Limit.Wait > 0 {
		in.Limit.Within, in.Limit.Reason, in.Limit.Cooldown = true, "", 0
		if p.first(in, now).AGL != Denied {
			d.RetryAt = now.Add(d.Input.Limit.Wait)
		}
	}
	return d
}

// first is what the first rule that matches says.
func (p *Policy) first(in Input, now time.Time) Decision {
	d := Decision{AGL: Denied, Rule: defaultRule, Reason: "no rule allows it", Version: p.version, At: now, Input: in}
	variables := in.variables()
	for i, r := range p.rules {
		out, _, err := p.programs[i].Eval(variables)
		if err != nil {
			d.Rule, d.Reason = r.Name, "the rule can't be evaluated: "+err.Error()
			return d
		}
		matched, isBool := out.Value().(bool)
		if !isBool {
			d.Rule, d.Reason = r.Name, "the rule yields no truth value"
			return d
		}
		if matched {
			d.AGL, d.Rule, d.Reason = r.Decide, r.Name, strings.ReplaceAll(r.Reason, limitMark, cmp.Or(in.Limit.Reason, "no limit is reached"))
			d.modify = r.Modify
			return d
		}
		d.Skipped = append(d.Skipped, r.Name)
	}
	return d
}

// DefaultRules are the three profiles. Order matters: what a person holds, then what may always be done, then what must
// not, then the profile.
func DefaultRules() []Rule {
	return []Rule{
		{"off", `profile == "off"`, Denied, "profile off: the system only watches", nil},
		{"hold", `held`, Denied, "a person holds this setting", nil},
		{"undo", `purpose == "UNDO"`, Approved, "taking an own action back is part of what was approved", nil},
		{"paused", `paused && purpose == "FORWARD"`, Denied, "healing is paused", nil},
		{"freeze", `freeze && purpose == "FORWARD"`, Denied, "a change freeze is on", nil},
		{"platform", `unhealthy > 0.6 && purpose == "FORWARD"`, Denied, "most agents are unhealthy: the platform is at fault, not one of them", nil},
		{"limits", `!within_limits && purpose == "FORWARD"`, Denied, "over a limit: {limit}", nil},
		{"supervised", `profile == "supervised"`, Escalated, "profile supervised: a person decides", nil},
		{"restore", `profile == "demo" && purpose == "RESTORE"`, Approved, "the model was shown healthy", nil},
		{"demo", `profile == "demo" && purpose == "FORWARD" && action in ["ENABLE_SAFE_MODE", "ROLLBACK_MODEL", "TRIGGER_RETRAINING", "PROMOTE_MODEL", "ACCEPT_REFERENCE", "RESTORE_REFERENCE", "RESTART_AGENT"]`, Approved, "within budgets", nil},
	}
}
