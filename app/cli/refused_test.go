package cli

import (
	"strings"
	"testing"
)

// What can't work is refused at once, by the name of the flag.
func TestImpossibleFaultsAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"demo hang --target nosuch":                                              "--target nosuch",
		"demo agent-down --target healing":                                       "--target healing",
		"demo latency --rate 0":                                                  "--rate 0",
		"demo latency --delay 20m":                                               "--delay 20m",
		"demo drift --mean 1e99":                                                 "--mean",
		"demo drift --mean NaN":                                                  "--mean",
		"inject latency --target model --delay -2s --ttl 9s":                     "--delay -2s is negative",
		"inject crash --target model --ttl -40s":                                 "--ttl -40s is negative",
		"inject drift --feature income --mean NaN --ttl 9s --server 127.0.0.1:1": "--mean",
	} {
		o := try(t, Commands{}, nil, strings.Fields(args)...)
		if o.code != ExitUsage || !strings.Contains(o.err, want) {
			t.Errorf("%s: %d, %q, want %q", args, o.code, o.err, want)
		}
	}
}
