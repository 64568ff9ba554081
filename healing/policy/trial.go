package policy

import (
	"maps"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
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
