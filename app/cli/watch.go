package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"aura/web/api"
)

// watchEvery is how often watch asks.
const watchEvery = 500 * time.Millisecond

func (i *invocation) incidentWatch() *cobra.Command {
	var limit time.Duration
	c := i.remote(&cobra.Command{
		Use: "watch [ID]", Short: "Print the steps of an incident as they happen, until it ends", Args: atMost(1),
		Long: `Without an ID it waits for the next open incident. Exit code 0 if it ends RESOLVED, 1 if it ends otherwise, 4 if it has
not ended within --for.`,
	}, func(c *cobra.Command, s *client, args []string) error {
		ctx, cancel := context.WithTimeoutCause(c.Context(), limit, Exit(ExitTimeout, fmt.Errorf("it has not ended within %s", limit), "watch on with a longer --for"))
		defer cancel()
		w := &watch{i: i, s: s}
		if len(args) == 1 {
			w.id = args[0]
		}
		err := w.run(ctx)
		if err != nil && ctx.Err() != nil && c.Context().Err() == nil {
			return context.Cause(ctx)
		}
		return err
	})
	c.Flags().DurationVar(&limit, "for", 10*time.Minute, "how long to watch")
	return c
}

// watch follows one incident.
type watch struct {
	i  *invocation
	s  *client
	id string
	// step is the next to print; looked is set once it is known.
	step   int
	looked bool
}

func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(w.i.every, watchEvery))
	defer tick.Stop()
	for {
		done, err := w.look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (w *watch) look(ctx context.Context) (done bool, err error) {
	if w.id == "" {
		if w.id, err = w.next(ctx); w.id == "" || err != nil {
			return false, err
		}
	}
	var d api.IncidentDetail
	if _, err := w.s.call(ctx, http.MethodGet, "/api/v1/incidents/"+url.PathEscape(w.id), nil, &d); err != nil {
		return false, err
	}
	if !w.looked {
		w.step, w.looked = firstStep(d), true
	}
	for _, e := range d.Timeline {
		if e.Seq < w.step {
			continue
		}
		w.step = e.Seq + 1
		if err := w.print(d, e); err != nil {
			return false, err
		}
	}
	switch {
	case d.Open() || d.Degraded:
		return false, nil
	case d.Status != "RESOLVED":
		return true, Exit(ExitFailure, fmt.Errorf("the incident ended %s (%s): %s", d.Status, d.State, d.Reason), "look at `aura incident show "+d.ID+"`")
	}
	return true, nil
}

// firstStep is the first step of an incident, or the one with which it came back after it had ended: what was before is
// another story, and `aura incident show` tells it.
func firstStep(d api.IncidentDetail) int {
	for _, e := range slices.Backward(d.Timeline) {
		again := e.From != "" && e.From != "SUSPECTED" && e.State == "DETECTED"
		if again && e.At.Sub(d.DetectedAt).Abs() < time.Millisecond {
			return e.Seq
		}
	}
	return 0
}

// next is the newest incident that is worked on, or whose safe mode still stands.
func (w *watch) next(ctx context.Context) (string, error) {
	var page api.List[api.Incident]
	if _, err := w.s.call(ctx, http.MethodGet, "/api/v1/incidents?limit=20", nil, &page); err != nil {
		return "", err
	}
	for _, n := range page.Items {
		if n.Open() || n.Degraded {
			return n.ID, nil
		}
	}
	return "", nil
}

func (w *watch) print(d api.IncidentDetail, e api.TimelineStep) error {
	if w.i.output == "json" {
		encoded, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return w.i.printLine(string(encoded))
	}
	elapsed := since(d, e.At)
	if elapsed != "-" {
		elapsed = "+" + elapsed
	}
	return w.i.printLine(printable(fmt.Sprintf("%s  %-8s %-18s %s", e.At.UTC().Format("15:04:05.000"), elapsed, e.State, e.Text)))
}
