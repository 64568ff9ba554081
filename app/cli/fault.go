package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"aura/web/api"
)

func (i *invocation) injectCommand() *cobra.Command {
	var target string
	var delay, ttl time.Duration
	var share float64
	var times int
	kinds := []string{"latency", "error", "crash", "hang"}
	c := &cobra.Command{
		Use: "inject latency|error|crash|hang --target AGENT --ttl DURATION", Short: "Inject a fault into an agent", Args: exactly(1), ValidArgs: kinds,
		Long: `Injects a fault for a limited time: latency delays events, error fails them, crash panics, hang blocks until the fault
ends. Crash and hang strike once unless --times says otherwise (0 = each time).`,
		Example: `  aura inject latency --target model --delay 2s --share 1 --ttl 60s
  aura inject crash --target decision --ttl 60s`,
	}
	i.remote(c, func(c *cobra.Command, s *client, args []string) error {
		f := api.FaultRequest{Target: target, Kind: args[0], Share: share, TTL: ttl.String()}
		switch {
		case !slices.Contains(kinds, args[0]):
			return usage("take one of latency, error, crash, hang", "unknown kind of fault %q", args[0])
		case target == "":
			return usage("name an agent with --target; `aura agent ls` lists them", "no --target")
		case ttl <= 0:
			return usage("say when it shall end by itself, such as --ttl 60s", "no --ttl")
		case args[0] == "latency" && delay <= 0:
			return usage("say how long, such as --delay 2s", "latency without --delay")
		case args[0] != "latency" && delay != 0:
			return usage("leave --delay out, or inject latency", "--delay means nothing for %s", args[0])
		case !(share > 0 && share <= 1):
			return usage("take a --share above 0, up to 1", "a share of %g", share)
		case times < 0:
			return usage("take --times 0 (each time) or more", "%d times", times)
		}
		if delay > 0 {
			f.Delay = delay.String()
		}
		if c.Flags().Changed("times") {
			f.Times = &times
		}
		var fault api.Fault
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/faults", f, &fault)
		if err != nil {
			return faultsOff(err)
		}
		return i.printFaults(raw, []api.Fault{fault})
	})
	c.Flags().StringVar(&target, "target", "", "the agent (mandatory)")
	c.Flags().DurationVar(&ttl, "ttl", 0, "when the fault ends by itself, such as 60s (mandatory)")
	c.Flags().DurationVar(&delay, "delay", 0, "added to each event, for latency")
	c.Flags().Float64Var(&share, "share", 1, "share of the events that are hit")
	c.Flags().IntVar(&times, "times", 0, "how often at most; 0 = each time (default: 1 for crash and hang)")
	return c
}

func (i *invocation) faultCommand() *cobra.Command {
	list := i.remote(&cobra.Command{Use: "ls", Short: "List active faults", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			var faults api.List[api.Fault]
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/faults", nil, &faults)
			if err != nil {
				return faultsOff(err)
			}
			return i.printFaults(raw, faults.Items)
		})
	var all bool
	stop := i.remote(&cobra.Command{Use: "stop ID | --all", Short: "End a fault, or all", Args: atMost(1)},
		func(c *cobra.Command, s *client, args []string) error {
			if all == (len(args) == 1) {
				return usage("write `aura fault stop ID` or `aura fault stop --all`; `aura fault ls` lists the ids", "which fault?")
			}
			removed := struct {
				Removed int `json:"removed"`
			}{1}
			var err error
			if all {
				_, err = s.call(c.Context(), http.MethodDelete, "/api/v1/faults", nil, &removed)
			} else {
				_, err = s.call(c.Context(), http.MethodDelete, "/api/v1/faults/"+url.PathEscape(args[0]), nil, nil)
			}
			if err != nil {
				return faultsOff(err)
			}
			if i.output == "json" {
				return i.printJSON(removed)
			}
			return i.printLine(fmt.Sprintf("%d fault(s) ended", removed.Removed))
		})
	stop.Flags().BoolVar(&all, "all", false, "end every fault")
	return group("fault", "Look at injected faults and end them", list, stop)
}

// faultsOff says what a missing route means here: fault injection may be off.
func faultsOff(err error) error {
	if exitCode(err) == ExitPrecondition {
		return Exit(ExitPrecondition, err, "if there are no such routes at all, the server runs with faults.enabled: false")
	}
	return err
}

func (i *invocation) printFaults(raw []byte, faults []api.Fault) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	t := newTable("ID", "TARGET", "KIND", "DELAY", "SHARE", "TIMES", "HITS", "ENDS")
	for _, f := range faults {
		times := "each"
		if f.Times > 0 {
			times = strconv.Itoa(f.Times)
		}
		t.add(f.ID, f.Target, f.Kind, dash(f.Delay), strconv.FormatFloat(f.Share, 'g', -1, 64), times, strconv.FormatInt(f.Hits, 10), clock(f.ExpiresAt))
	}
	return i.printTable(t)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// clock is a time as tables show it.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
