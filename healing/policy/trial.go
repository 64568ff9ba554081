package policy

import (
	"maps"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"aura/healing/playbook"
)

// limitMark is the only placeholder of a reason.
const limitMark = "{limit}"

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func countNames() []string { return slices.Sorted(maps.Keys(Verdict{}.counts())) }

// sample is the input that a rule is tried with: the first proposal after a start.
func sample() Input {
	return Input{
		Action: "RESTART_AGENT", Touches: []string{"agent:model"}, Purpose: Forward, IncidentType: "AGENT_DOWN", Target: "model",
		Fingerprint: "AGENT_DOWN:model", Mode: "MODEL", Profile: Demo, Proposer: "healing", Limit: Verdict{Within: true},
	}
}

// try evaluates a rule once: what can't be evaluated would deny everything, and nobody would know before an incident.
func try(r Rule, program cel.Program) error {
	if _, _, err := program.Eval(sample().variables()); err != nil {
		return &RuleError{r.Name, "when: tried with a first proposal it fails: " + err.Error() + "; test for a key with `in` or has() before using it"}
	}
	return nil
}

// unknownCount is a key of counts that there is none of; "" for none. The trial alone misses one behind a condition.
func unknownCount(a *cel.Ast) (key string) {
	known := Verdict{}.counts()
	note := func(of ast.Expr, name string) {
		if _, ok := known[name]; !ok && of.Kind() == ast.IdentKind && of.AsIdent() == "counts" {
			key = name
		}
	}
	ast.PreOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			note(e.AsSelect().Operand(), e.AsSelect().FieldName())
		case ast.CallKind:
			if c := e.AsCall(); c.FunctionName() == operators.Index && len(c.Args()) == 2 && c.Args()[1].Kind() == ast.LiteralKind {
				if name, ok := c.Args()[1].AsLiteral().(types.String); ok {
					note(c.Args()[0], string(name))
				}
			}
		}
	}))
	return key
}

// values are all that the variables can be that have a closed set.
var values = map[string][]string{
	"action": Actions, "incident_type": append(slices.Clone(playbook.Kinds), "BUS_DOWN"), "purpose": {Forward, Undo, Restore},
	"profile": {Demo, Supervised, Off}, "mode": {"MODEL", "SAFE_MODE"},
}

// unknownValue is a variable of values that a rule compares with a text that it can never be: with a slip of the pen the rule
// would never hold, or always. "" for none. It sees == and != with a literal, and in with a list of literals.
func unknownValue(a *cel.Ast) (name, value string) {
	note := func(of, with ast.Expr) {
		if of.Kind() != ast.IdentKind || with.Kind() != ast.LiteralKind {
			return
		}
		known, closed := values[of.AsIdent()]
		if text, ok := with.AsLiteral().(types.String); ok && closed && name == "" && !slices.Contains(known, string(text)) {
			name, value = of.AsIdent(), string(text)
		}
	}
	ast.PreOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
		switch e.AsCall().FunctionName() {
		case operators.Equals, operators.NotEquals:
			note(left, right)
			note(right, left)
		case operators.In:
			if right.Kind() == ast.ListKind {
				for _, item := range right.AsList().Elements() {
					note(left, item)
				}
			}
		}
	}))
	return name, value
}
