package detect

import "testing"

func TestFactorText(t *testing.T) {
	for factor, want := range map[float64]string{
		1.0 / 12: "divided by 12", 0.001: "divided by 1000", 0.1: "divided by 10", 12: "multiplied by 12", 100: "multiplied by 100",
	} {
		b := Bug{Kind: BugUnit, Feature: "income", Share: 0.7, Factor: factor}
		if got := b.String(); got != "income: 70 % of values look "+want {
			t.Errorf("%g: %s", factor, got)
		}
	}
}
