package schema

import "testing"

func TestBuiltinParses(t *testing.T) {
	if _, err := Parse(creditYAML); err != nil {
		t.Fatal(err)
	}
}
