package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aura/web/api"
)

func (i *invocation) incidentCommand() *cobra.Command {
	show := i.remote(&cobra.Command{
		Use: "show ID", Short: "Show an incident: its six steps, ladder, actions and timeline", Args: exactly(1),
	}, func(c *cobra.Command, s *client, args []string) error {
		var d api.IncidentDetail
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/incidents/"+url.PathEscape(args[0]), nil, &d)
		if err != nil {
			return err
		}
		return i.printIncident(raw, d)
	})
	return group("incident", "Look at incidents and how they are healed", i.incidentList(), show, i.incidentWatch(), i.incidentGraph())
}

func (i *invocation) incidentList() *cobra.Command {
	list := paged(i, &cobra.Command{Use: "ls", Short: "List incidents, newest first"}, "/api/v1/incidents",
		[]string{"ID", "TYPE", "TARGET", "STATUS", "STATE", "DETECTED", "TOOK", "LAST ACTION"},
		func(n api.Incident) []string {
			return []string{n.ID, n.Type, n.Target, n.Status, n.State, clock(n.DetectedAt), recovery(n), dash(n.LastAction)}
		})
	return filtered(list, [][2]string{
		{"status", "only those: OPEN, MITIGATING, RESOLVED, FAILED"}, {"type", "only those, such as LATENCY_SLO_BREACH"},
	})
}

// recovery is how long an incident took from detection; of an open one nothing.
func recovery(n api.Incident) string {
	if n.ResolvedAt.IsZero() {
		return "-"
	}
	text := seconds(n.ResolvedAt.Sub(n.DetectedAt).Seconds())
	if n.Degraded {
		text += " (safe mode)"
	}
	return text
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 1, 64) + "s" }

func (i *invocation) incidentGraph() *cobra.Command {
	var format string
	c := i.remote(&cobra.Command{
		Use: "graph", Short: "Draw the incident machine from the code that runs", Args: exactly(0),
		Example: "  aura incident graph > incident.mmd\n  aura incident graph --format dot | dot -Tsvg",
	}, func(c *cobra.Command, s *client, _ []string) error {
		formats := []string{"mermaid", "dot", "svg", "json"}
		if !slices.Contains(formats, format) {
			return usage("take one of "+strings.Join(formats, ", "), "unknown format %q", format)
		}
		if i.output == "json" {
			format = "json"
		}
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/incidents/graph?format="+format, nil, nil)
		if err != nil {
			return err
		}
		if format == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		_, err = fmt.Fprintln(i.Out, strings.TrimRight(string(raw), "\n"))
		return err
	})
	c.Flags().StringVar(&format, "format", "mermaid", "mermaid, dot, svg or json")
	return c
}

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
	i   *invocation
	s   *client
	id  string
	seq int // of the last step that was printed
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
	for _, e := range d.Timeline {
		if e.Seq <= w.seq {
			continue
		}
		w.seq = e.Seq
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
	return w.i.printLine(printable(fmt.Sprintf("%s  +%-7s %-18s %s", e.At.UTC().Format("15:04:05.000"), seconds(e.At.Sub(startOf(d)).Seconds()), e.State, e.Text)))
}

// startOf is where times are counted from: the onset, or detection.
func startOf(d api.IncidentDetail) time.Time {
	if d.OnsetAt.IsZero() || d.OnsetAt.After(d.DetectedAt) {
		return d.DetectedAt
	}
	return d.OnsetAt
}

func (i *invocation) printIncident(raw []byte, d api.IncidentDetail) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	err := i.printPairs([][2]string{
		{"incident", d.ID},
		{"type", d.Type + " of " + d.Target},
		{"status", d.Status + " (" + d.State + ")"},
		{"reason", d.Reason},
		{"evidence", fmt.Sprintf("%.4g against %.4g, n = %d, %s", d.Signal.Value, d.Signal.Threshold, d.Signal.N, d.Signal.State)},
		{"data bug", d.Signal.DataBug},
		{"escalation", d.Escalation},
		{"order", d.OrderReason},
	})
	if err != nil {
		return err
	}
	steps := newTable("STEP", "STATE", "AT", "SINCE ONSET", "TOOK", "WHAT")
	for _, s := range d.Steps {
		steps.add(s.Name, s.State, clock(s.At), secondsOrDash(s.SinceOnsetS), secondsOrDash(s.TookS), dash(s.Text))
	}
	ladder := newTable("RUNG", "ACTION", "STATE", "WHY", "HOW IT ENDED")
	for _, r := range d.Ladder {
		ladder.add(strconv.Itoa(r.Rung), r.Action, r.State, dash(r.Why), dash(r.Note))
	}
	timeline := newTable("AT", "SINCE ONSET", "STATE", "EVENT", "TEXT")
	for _, e := range d.Timeline {
		timeline.add(e.At.UTC().Format("15:04:05.000"), seconds(e.At.Sub(startOf(d)).Seconds()), e.State, dash(e.Event), e.Text)
	}
	return i.printTables(steps, ladder, timeline)
}

// printTables writes tables with an empty line before each; those without rows are left out.
func (i *invocation) printTables(tables ...*table) error {
	for _, t := range tables {
		if len(t.rows) < 2 {
			continue
		}
		if err := i.printLine(""); err != nil {
			return err
		}
		if err := i.printTable(t); err != nil {
			return err
		}
	}
	return nil
}

func secondsOrDash(s *float64) string {
	if s == nil {
		return "-"
	}
	return seconds(*s)
}
