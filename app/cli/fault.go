package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aura/web/api"
)

// faultKinds says which target a kind has, where it can have one only.
var faultKinds = []struct{ name, target string }{
	{"latency", ""},
	{"error", ""},
	{"crash", ""},
	{"hang", ""},
	{"drift", "source"},
	{"missing", "source"},
	{"stuck", "source"},
	{"unit", "source"},
	{"label-noise", "source"},
	{"label-flip", "source"},
	{"bad-model", "model"},
}

func faultKindNames() []string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = k.name
	}
	return names
}

// injectFlags are the flags of a fault as they were given.
type injectFlags struct {
	request     api.FaultRequest
	delay, ttl  time.Duration
	times       int
	mean, value float64
}

func (i *invocation) injectCommand() *cobra.Command {
	var in injectFlags
	c := &cobra.Command{
		Use: "inject KIND --ttl DURATION", Short: "Inject a fault into an agent, the source or the model", Args: exactly(1), ValidArgs: faultKindNames(),
		Long: `Injects a fault for a limited time.

Of an agent (--target): latency delays events, error fails them, crash panics, hang blocks until the fault ends. Crash and
hang strike once unless --times says otherwise (0 = each time).
Of the source, the simulator or a file: drift is another population (--feature with --mean, --shift, --scale or
--category), missing, stuck (--value) and unit (--factor) are a broken feed, label-noise inverts a --share of the outcomes,
label-flip all of them, or with --category those that are repaid or defaulted.
Of the model: bad-model puts a really worse version in charge, until the fault's end if nobody rolls back before.`,
		Example: `  aura inject latency --target model --delay 2s --share 1 --ttl 60s
  aura inject crash --target decision --ttl 60s
  aura inject drift --feature credit_score --mean 550 --ttl 5m
  aura inject label-noise --share 0.4 --ttl 5m`,
	}
	i.remote(c, func(c *cobra.Command, s *client, args []string) error {
		f, err := in.fault(c, args[0])
		if err != nil {
			return err
		}
		var fault api.Fault
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/faults", f, &fault)
		if err != nil {
			return faultsOff(err)
		}
		return i.printFaults(raw, []api.Fault{fault})
	})
	in.declare(c)
	return c
}

func (in *injectFlags) declare(c *cobra.Command) {
	f, r := c.Flags(), &in.request
	f.StringVar(&r.Target, "target", "", "the agent (mandatory for latency, error, crash and hang)")
	f.DurationVar(&in.ttl, "ttl", 0, "when the fault ends by itself, such as 60s (mandatory)")
	f.DurationVar(&in.delay, "delay", 0, "added to each event, for latency")
	f.Float64Var(&r.Share, "share", 1, "share of the events, applications or outcomes that are hit")
	f.IntVar(&in.times, "times", 0, "how often at most; 0 = each time (default: 1 for crash and hang)")
	f.StringVar(&r.Feature, "feature", "", "the column, for drift, missing, stuck and unit")
	f.Float64Var(&in.mean, "mean", 0, "drift: the mean to bring numbers to")
	f.Float64Var(&r.Shift, "shift", 0, "drift: added to numbers")
	f.Float64Var(&r.Scale, "scale", 0, "drift: what numbers are multiplied by")
	f.Float64Var(&in.value, "value", 0, "stuck: the number")
	f.Float64Var(&r.Factor, "factor", 0, "unit: what numbers are multiplied by, such as 12 or 0.001")
	f.StringVar(&r.Category, "category", "", "drift, stuck: the category; label-flip: repaid or defaulted")
}

// fault makes the request; what the server can tell better (features, bounds) is left to it.
func (in *injectFlags) fault(c *cobra.Command, kind string) (api.FaultRequest, error) {
	f := in.request
	f.Kind, f.TTL = kind, in.ttl.String()
	at := slices.IndexFunc(faultKinds, func(k struct{ name, target string }) bool { return k.name == kind })
	if at < 0 {
		return f, usage("take one of "+strings.Join(faultKindNames(), ", "), "unknown kind of fault %q", kind)
	}
	if f.Target == "" {
		f.Target = faultKinds[at].target
	}
	switch {
	case f.Target == "":
		return f, usage("name an agent with --target; `aura agent ls` lists them", "no --target")
	case in.ttl < 0:
		return f, usage("take a --ttl such as 60s", "--ttl %s is negative", in.ttl)
	case in.delay < 0:
		return f, usage("take a --delay such as 2s", "--delay %s is negative", in.delay)
	case !finite(in.mean, in.value, f.Shift, f.Scale, f.Factor):
		return f, usage("give a number", "--mean, --value, --shift, --scale or --factor is not finite")
	case in.ttl == 0:
		return f, usage("say when it shall end by itself, such as --ttl 60s", "no --ttl")
	case kind == "latency" && in.delay <= 0:
		return f, usage("say how long, such as --delay 2s", "latency without --delay")
	case kind != "latency" && in.delay != 0:
		return f, usage("leave --delay out, or inject latency", "--delay means nothing for %s", kind)
	case !(f.Share > 0 && f.Share <= 1):
		return f, usage("take a --share above 0, up to 1", "a share of %g", f.Share)
	case kind == "label-noise" && f.Share == 1:
		return f, usage("say which --share of the outcomes, such as 0.4; label-flip inverts all", "no --share")
	case in.times < 0:
		return f, usage("take --times 0 (each time) or more", "%d times", in.times)
	}
	if in.delay > 0 {
		f.Delay = in.delay.String()
	}
	flags := c.Flags()
	if flags.Changed("times") {
		f.Times = &in.times
	}
	if flags.Changed("mean") {
		f.Mean = &in.mean
	}
	if flags.Changed("value") {
		f.Value = &in.value
	}
	return f, nil
}

// finite reports whether all are numbers that JSON can say.
func finite(all ...float64) bool {
	return !slices.ContainsFunc(all, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
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
	t := newTable("ID", "TARGET", "KIND", "CHANGE", "SHARE", "TIMES", "HITS", "ENDS")
	for _, f := range faults {
		times := "each"
		if f.Times > 0 {
			times = strconv.Itoa(f.Times)
		}
		t.add(f.ID, f.Target, f.Kind, dash(changeOf(f)), strconv.FormatFloat(f.Share, 'g', -1, 64), times, strconv.FormatInt(f.Hits, 10), clock(f.ExpiresAt))
	}
	return i.printTable(t)
}

// changeOf says in a few words how a fault acts: its delay, or what it does to which column.
func changeOf(f api.Fault) string {
	number := func(label string, x float64) string {
		if x == 0 {
			return ""
		}
		return label + strconv.FormatFloat(x, 'g', 6, 64)
	}
	parts := []string{f.Delay, f.Feature, number("x", f.Scale), number("x", f.Factor), number("+", f.Shift), f.Category}
	if f.Mean != nil {
		parts = append(parts, "to "+strconv.FormatFloat(*f.Mean, 'g', 6, 64))
	}
	if f.Value != nil {
		parts = append(parts, "= "+strconv.FormatFloat(*f.Value, 'g', 6, 64))
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
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
