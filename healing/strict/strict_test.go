package strict

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type rung struct {
	Action string        `yaml:"action"`
	Dwell  time.Duration `yaml:"dwell"`
	Why    string        `yaml:"-"`
}

type document struct {
	Name    string                   `yaml:"name"`
	On      bool                     `yaml:"on"`
	Many    int                      `yaml:"many"`
	Waits   map[string]time.Duration `yaml:"waits"`
	Ladders map[string][]rung        `yaml:"ladders"`
	Roles   []string                 `yaml:"roles"`
}

func TestDecode(t *testing.T) {
	d := document{Name: "kept", Many: 1}
	if err := Decode([]byte("many: 2\nwaits: {a: 1s}\nladders: {x: [{action: go, dwell: 2s}]}\nroles:\n"), &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != "kept" || d.Many != 2 || d.Waits["a"] != time.Second || d.Ladders["x"][0] != (rung{"go", 2 * time.Second, ""}) {
		t.Errorf("%+v", d)
	}
	if err := Decode(nil, &d); err != nil || d.Many != 2 {
		t.Errorf("empty: %+v, %v", d, err)
	}
}

// TestErrorsAreInWords: each names the field and what may stand there, none a type of Go or a line.
func TestErrorsAreInWords(t *testing.T) {
	for _, c := range []struct{ text, field, problem, remedy string }{
		{"prod", "", `"prod" is not what this field takes`, "give a table of name, on, many, waits, ladders, roles"},
		{"- a", "", "a list is not", "give a table"},
		{"colour: red", "colour", "unknown key", "give of name, on, many"},
		{"many: lots", "many", `"lots"`, "whole number"},
		{"many: 1.5", "many", `"1.5"`, "whole number"},
		{"on: perhaps", "on", `"perhaps"`, "true or false"},
		{"name: [a]", "name", "a list is not", "a text"},
		{"waits: 5s", "waits", `"5s"`, "a table with a name for each entry"},
		{"waits: {a: 1s, b: soon}", "waits.b", `"soon"`, "give a duration with its unit, such as 500ms, 2s or 1h"},
		{"waits: {a: 5}", "waits.a", `"5"`, "a duration with its unit"},
		{"ladders: {x: [{action: go}, {action: go, dwell: 2}]}", "ladders.x[1].dwell", `"2"`, "a duration"},
		{"ladders: {x: {action: go}}", "ladders.x", "a table is not", "a list"},
		{"ladders: {x: [{why: this}]}", "ladders.x[0].why", "unknown key", "give of action, dwell"},
		{"a: &a {many: x}\n", "a", "unknown key", ""},
		{"roles: [a, [b]]", "roles[1]", "a list is not", "a text"},
		{"name: " + strings.Repeat("x", 100) + "\nmany: " + strings.Repeat("y", 100), "many", strings.Repeat("y", 60) + "…", ""},
		{"many: 1\n---\nmany: 2", "", "more than one YAML document", "put all into one document"},
		{"many: [", "", "yaml", "mend the YAML"},
		{"roles: &r [*r]", "roles[0]", "a list is not", "a text"},
		{"many: .inf", "many", `".inf"`, "whole number"},
	} {
		err := Decode([]byte(c.text), &document{})
		var bad *Error
		if !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Problem, c.problem) || !strings.Contains(bad.Remedy, c.remedy) {
			t.Errorf("%q: %v; want %s: %s; %s", c.text, err, c.field, c.problem, c.remedy)
		}
		if err != nil && (strings.Contains(err.Error(), "strict.") || strings.Contains(err.Error(), "time.")) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}
