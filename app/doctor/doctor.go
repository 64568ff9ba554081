// Package doctor runs probes of what a process needs, side by side, and says of each what was found and what to do.
//
// It owns the form of a finding and how probes are run; what is looked at, and how, is whoever's who makes the probes. It imports
// the standard library only. Run blocks until each probe has answered or its time is over. Test it with probes of your own.
package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// State of a part.
type State string

// The states. Only Failed is a reason not to start.
const (
	OK      State = "ok"
	Warning State = "warning"
	Failed  State = "failed"
	Unused  State = "not used" // the configuration doesn't ask for it
)

// Finding is what a probe says of its part.
type Finding struct {
	Part  string `json:"part"`
	State State  `json:"state"`
	Found string `json:"found"`
	// Remedy is what to do; empty for nothing.
	Remedy string  `json:"remedy,omitempty"`
	TookMS float64 `json:"took_ms"`
}

// Probe looks at one part. Look obeys ctx and changes nothing.
type Probe struct {
	Part string
	Look func(ctx context.Context) Finding
}

// Good is a finding without a fault.
func Good(form string, args ...any) Finding {
	return Finding{State: OK, Found: fmt.Sprintf(form, args...)}
}

// Bad is a failure and its remedy.
func Bad(remedy, form string, args ...any) Finding {
	return Finding{State: Failed, Found: fmt.Sprintf(form, args...), Remedy: remedy}
}

// Risk is a warning and its remedy.
func Risk(remedy, form string, args ...any) Finding {
	return Finding{State: Warning, Found: fmt.Sprintf(form, args...), Remedy: remedy}
}

// NotUsed says by which key the part would be.
func NotUsed(key string) Finding { return Finding{State: Unused, Found: key + " is empty"} }

// Report is the findings in the order of their probes.
type Report struct {
	Findings []Finding `json:"findings"`
	// Healthy: none has failed.
	Healthy bool `json:"healthy"`
}

// Run runs all probes at once. One that hasn't answered within limit has failed.
func Run(ctx context.Context, limit time.Duration, probes ...Probe) Report {
	r := Report{Findings: make([]Finding, len(probes)), Healthy: true}
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { r.Findings[i] = p.run(ctx, limit) })
	}
	wg.Wait()
	for _, f := range r.Findings {
		r.Healthy = r.Healthy && f.State != Failed
	}
	return r
}

func (p Probe) run(ctx context.Context, limit time.Duration) Finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	f := p.Look(ctx)
	if f.State == Failed && ctx.Err() != nil {
		f.Found = fmt.Sprintf("no answer within %v: %s", limit, f.Found)
	}
	f.Part, f.TookMS = p.Part, float64(time.Since(began).Microseconds())/1e3
	return f
}

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.State, f.Part, line(f.Found))
		if f.Remedy != "" {
			fmt.Fprintf(t, "\t\t-> %s\n", line(f.Remedy))
		}
	}
	return t.Flush()
}

// line makes one line of a text that may come from outside, without control characters.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}
