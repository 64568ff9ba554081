package cli

import (
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
	return group("incident", "Look at incidents and how they are healed", i.incidentList(), show, i.incidentWatch(), i.incidentGraph(),
		i.incidentVerb("retry", "Start the ladder again, for an incident that a person was called for", ""),
		i.incidentVerb("escalate", "Take an incident from the healer", "Nothing more is tried by itself. It is still watched, and ends when its signal is healthy."),
		i.incidentVerb("close", "End an incident that nothing else will end", "It ends FAILED: nobody has shown it healthy. Refused while its signal is bad or safe mode stands."),
		i.incidentVerdict())
}

// incidentVerb is a command by which a person tells an incident something.
func (i *invocation) incidentVerb(verb, short, long string) *cobra.Command {
	var why change
	return i.changing(i.remote(&cobra.Command{Use: verb + " ID --reason WHY", Short: short, Long: long, Args: exactly(1)},
		func(c *cobra.Command, s *client, args []string) error {
			var d api.IncidentDetail
			raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/incidents/"+url.PathEscape(args[0])+"/"+verb, why, &d)
			if err != nil {
				return err
			}
			return i.printIncident(raw, d)
		}), &why)
}

func (i *invocation) incidentVerdict() *cobra.Command {
	var why change
	var action string
	c := i.changing(i.remote(&cobra.Command{
		Use: "verdict ID needless|needed --reason WHY", Short: "Say whether an incident's actions were needless", Args: exactly(2),
		Long:      "The scoreboard counts it, and memory gives a needless action no credit. The latest verdict on an action counts.",
		Example:   `  aura incident verdict INC-20260102-150405-1a2b3c4d needless --reason "a blip of the network"`,
		ValidArgs: []string{"needless", "needed"},
	}, func(c *cobra.Command, s *client, args []string) error {
		if args[1] != "needless" && args[1] != "needed" {
			return usage("take needless or needed", "unknown verdict %q", args[1])
		}
		body := struct {
			Needless bool   `json:"needless"`
			ActionID string `json:"action_id,omitempty"`
			change
		}{args[1] == "needless", action, why}
		var d api.IncidentDetail
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/incidents/"+url.PathEscape(args[0])+"/verdict", body, &d)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		t := newTable("ACTION", "TYPE", "EXECUTED", "RESULT", "VERDICT")
		for _, a := range d.ActionLog {
			if a.Needless != nil {
				t.add(a.ID, a.Type, clock(a.ExecutedAt), dash(a.Result), map[bool]string{true: "needless", false: "needed"}[*a.Needless])
			}
		}
		return i.printTable(t)
	}), &why)
	c.Flags().StringVar(&action, "action", "", "only this action of the incident (default: every executed one)")
	return c
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
	took, why := n.Recovery()
	text := seconds(took)
	if why != "" || took == 0 {
		text = dash(why)
	}
	if n.Degraded && !n.ResolvedAt.IsZero() {
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

// since counts from the onset of an incident, what was before a relapse from its own episode's start.
func since(d api.IncidentDetail, t time.Time) string {
	s, episode, known := d.Since(t)
	switch {
	case !known:
		return "-"
	case episode <= len(d.EarlierDetectedAt):
		return fmt.Sprintf("%s (episode %d)", seconds(s), episode)
	}
	return seconds(s)
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
		{"waits for", d.WaitsFor},
		{"evidence", d.Signal.State + ": " + d.Signal.Words},
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
	actions := newTable("ACTION", "LEAVE", "PROPOSED", "EXECUTED", "ENDED", "RESULT", "WHY")
	for _, a := range d.ActionLog {
		name := a.Type
		if a.Undo {
			name += " (undo)"
		}
		actions.add(name, a.Leave(), since(d, a.ProposedAt), since(d, a.ExecutedAt), since(d, a.EndedAt), dash(a.Result), dash(a.Reason))
	}
	timeline := newTable("AT", "SINCE ONSET", "STATE", "EVENT", "TEXT")
	for _, e := range d.Timeline {
		timeline.add(e.At.UTC().Format("15:04:05.000"), since(d, e.At), e.State, dash(e.Event), e.Text)
	}
	return i.printTables(steps, ladder, actions, timeline)
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
