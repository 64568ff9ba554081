package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"aura/app/config"
	"aura/web/api"
)

func (i *invocation) driftCommand() *cobra.Command {
	var all bool
	show := i.remote(&cobra.Command{
		Use: "show", Short: "Show drift for each feature and the score, the largest PSI first", Args: exactly(0),
		Long: "PSI compares what came lately with the reference, in the reference's bins; above 0.2 on at least 500 values a drift is confirmed.",
	}, func(c *cobra.Command, s *client, _ []string) error {
		var r api.SignalReport
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/signals", nil, &r)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		slices.SortStableFunc(r.Items, func(a, b api.Signal) int {
			switch {
			case a.Kind != b.Kind || a.Value == b.Value:
				return 0
			case a.Value > b.Value:
				return -1
			}
			return 1
		})
		t := newTable("SIGNAL", "TARGET", "STATE", "VALUE", "THRESHOLD", "N", "WINDOW", "SINCE", "NOTE")
		for _, g := range r.Items {
			if all || g.Kind == "DATA_DRIFT" {
				t.add(g.Kind, g.Target, g.State, value(g.Value, g.Unit), value(g.Threshold, g.Unit), strconv.FormatInt(g.N, 10), seconds(g.WindowS), clock(g.Since), dash(g.Bug))
			}
		}
		if r.Blind {
			fmt.Fprintln(i.Err, "monitoring has not reported lately: what follows is old")
		}
		return i.printTable(t)
	})
	show.Flags().BoolVar(&all, "all", false, "every signal, not only drift")
	return group("drift", "Look at what monitoring compares with the reference", show)
}

func value(v float64, unit string) string {
	if unit == "share" {
		return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
	}
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if unit == "ms" || unit == "s" {
		text += unit
	}
	return text
}

func (i *invocation) memoryCommand() *cobra.Command {
	var limit int
	var kind string
	list := i.remote(&cobra.Command{Use: "ls", Short: "List what actions were worth, newest first, and how that ranks the playbook", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if kind != "" {
				q.Set("type", kind)
			}
			var page struct {
				Items   []api.Memory  `json:"items"`
				Ranking []api.Ranking `json:"ranking"`
			}
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/memory?"+q.Encode(), nil, &page)
			if err != nil {
				return err
			}
			if i.output == "json" {
				return i.printJSON(json.RawMessage(raw))
			}
			t := newTable("AT", "INCIDENT TYPE", "TARGET", "ACTION", "HEALED", "TOOK", "INCIDENT")
			for _, m := range page.Items {
				t.add(clock(m.At), m.Type, dash(m.Target), m.ActionType, worth(m), seconds(m.TookS), m.IncidentID)
			}
			if err := i.printTable(t); err != nil {
				return err
			}
			ranking := newTable("NEXT TIME", "CLASS", "RUNG", "ACTION", "WHY")
			for _, r := range page.Ranking {
				for n, rung := range r.Rungs {
					ranking.add(r.Type, r.Class, strconv.Itoa(n+1), rung.Action, rung.Why)
				}
			}
			return i.printTables(ranking)
		})
	list.Flags().IntVar(&limit, "limit", 50, "rows at most, 1 to 200")
	list.Flags().StringVar(&kind, "type", "", "only of these incidents, such as LATENCY_SLO_BREACH")
	return group("memory", "Look at what was learned of past actions", list)
}

func worth(m api.Memory) string {
	switch {
	case m.Healed:
		return "yes"
	case m.NoCredit != "":
		return "no credit: " + m.NoCredit
	}
	return "no"
}

func (i *invocation) scoreboardCommand() *cobra.Command {
	var window string
	c := i.remote(&cobra.Command{
		Use: "scoreboard", Short: "Show how well it heals, each figure with the number it rests on", Args: exactly(0),
	}, func(c *cobra.Command, s *client, _ []string) error {
		var b api.Scoreboard
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/scoreboard?"+url.Values{"window": {window}}.Encode(), nil, &b)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		t := newTable("TYPE", "INCIDENTS", "OPEN", "MTTR FROM DETECTION P50", "P95", "N", "TARGET", "MTTR FROM ONSET P50", "P95", "N", "SUCCESS", "NEEDLESS ACTIONS")
		for _, r := range b.Items {
			target := "-"
			if r.TargetS > 0 {
				target = seconds(r.TargetS)
			}
			t.add(r.Type, strconv.Itoa(r.Incidents), strconv.Itoa(r.Open),
				secondsOrDash(r.FromDetection.P50S), secondsOrDash(r.FromDetection.P95S), strconv.Itoa(r.FromDetection.N), target,
				secondsOrDash(r.FromOnset.P50S), secondsOrDash(r.FromOnset.P95S), strconv.Itoa(r.FromOnset.N), part(r.Success), part(r.Needless))
		}
		if err := i.printTable(t); err != nil {
			return err
		}
		waiting := ""
		if b.SLO.Undecided > 0 {
			waiting = fmt.Sprintf(", %d of them late and not decided yet,", b.SLO.Undecided)
		}
		return i.printLine(fmt.Sprintf("\ndecisions within %g ms: %s%s since %s; the table: since %s", b.SLO.LimitMS, part(b.SLO.Share), waiting, clock(b.SLO.From), clock(b.From)))
	})
	c.Flags().StringVar(&window, "window", "24h", "how far back, up to 720h")
	return c
}

// part is a share with what it rests on.
func part(s api.Share) string {
	if s.Share == nil {
		return "- (0)"
	}
	return fmt.Sprintf("%.2f %% (%d of %d)", 100**s.Share, s.Count, s.N)
}

func (i *invocation) queryCommand() *cobra.Command {
	var limit int
	c := i.stored(&cobra.Command{
		Use: `query "SQL"`, Short: "Run one read-only query on the store", Args: exactly(1),
		Long: "Asks the running server, or reads the store if none runs. Nothing but SELECT runs, for five seconds at most.\n" +
			"A query that begins with a comment goes after a --, or it is taken for a flag: aura query -- \"-- mine ...\"",
		Example: `  aura query "SELECT incident_id, incident_type, status, detected_at FROM incidents ORDER BY detected_at DESC LIMIT 10"`,
	}, func(c *cobra.Command, s *client, args []string) error {
		body := struct {
			SQL   string `json:"sql"`
			Limit int    `json:"limit"`
		}{args[0], limit}
		var r api.QueryResult
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/query", body, &r)
		if err != nil {
			return err
		}
		return i.printQuery(raw, r)
	}, func(c *cobra.Command, stored config.Config, args []string) error {
		if i.commands.Query == nil {
			return errNoStore
		}
		r, err := i.commands.Query(c.Context(), stored, args[0], limit)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		return i.printQuery(raw, r)
	})
	c.Flags().IntVar(&limit, "limit", 1000, "rows at most, 1 to 10000")
	return c
}

func (i *invocation) printQuery(raw []byte, r api.QueryResult) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	t := newTable(r.Columns...)
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for n, v := range row {
			cells[n] = cell(v)
		}
		t.add(cells...)
	}
	if r.Truncated {
		fmt.Fprintln(i.Err, "there is more: --limit raises how many rows are returned")
	}
	return i.printTable(t)
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return v
	}
	return fmt.Sprint(v)
}
