package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"aura/web/api"
)

func (i *invocation) applicationCommand() *cobra.Command {
	show := i.remote(&cobra.Command{
		Use: "show ID", Short: "Show an application, its decision with reasons, and its outcome", Args: exactly(1),
		Long: "ID is AURA's own or the one that the client gave.",
	}, func(c *cobra.Command, s *client, args []string) error {
		var r api.Record
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/applications/"+url.PathEscape(args[0]), nil, &r)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		return i.printRecord(r)
	})
	list := paged(i, &cobra.Command{Use: "ls", Short: "List decisions, newest first"}, "/api/v1/decisions",
		[]string{"ID", "APPLICATION", "DECISION", "DEFAULT", "MODE", "MODEL", "LATENCY", "DECIDED"},
		func(r api.Record) []string {
			return []string{r.ID, r.ApplicationID, dash(r.Decision), score(r.Probability), r.Mode, number(r.ModelVersion), latency(r), decidedAt(r)}
		})
	return group("application", "Look at applications and their decisions", show, list)
}

func (i *invocation) feedbackCommand() *cobra.Command {
	outcomes := []string{"repaid", "defaulted"}
	return i.remote(&cobra.Command{
		Use: "feedback ID repaid|defaulted", Short: "Tell what became of a loan", Args: exactly(2),
		Long: "The first outcome of an application stands; later ones are kept and counted.",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return outcomes, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}, func(c *cobra.Command, s *client, args []string) error {
		if !slices.Contains(outcomes, args[1]) {
			return usage("take repaid or defaulted", "unknown outcome %q", args[1])
		}
		body := struct {
			ApplicationID string `json:"application_id"`
			Outcome       string `json:"outcome"`
		}{args[0], args[1]}
		var r api.FeedbackResult
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/feedback", body, &r)
		if err != nil {
			return err
		}
		if i.output == "json" {
			err = i.printJSON(json.RawMessage(raw))
		} else {
			err = i.printPairs([][2]string{{"application id", r.ApplicationID}, {"kind", r.Kind}, {"outcome", r.Outcome}})
		}
		if err == nil && r.Kind == "unknown" {
			err = Exit(ExitPrecondition, fmt.Errorf("no application %s is here: its outcome is kept and counts for nothing", args[0]),
				"look for the id with `aura application ls`, and send the outcome again once the application is in")
		}
		return err
	})
}

func (i *invocation) printRecord(r api.Record) error {
	pairs := [][2]string{
		{"id", r.ID},
		{"application id", r.ApplicationID},
		{"status", r.Status},
		{"accepted", clock(r.AcceptedAt)},
		{"source", r.Source},
		{"features", string(r.Features)},
		{"decision", r.Decision},
	}
	if r.Status == api.StatusDecided {
		pairs = append(pairs, [][2]string{
			{"probability of default", score(r.Probability)},
			{"mode", r.Mode},
			{"rule", r.Rule},
			{"model", number(r.ModelVersion)},
			{"model digest", r.ModelDigest},
			{"decided", decidedAt(r)},
			{"latency", latency(r)},
		}...)
	}
	for n, reason := range r.Reasons {
		pairs = append(pairs, [2]string{fmt.Sprintf("reason %d", n+1), fmt.Sprintf("%s %s: %s", reason.Code, reason.Feature, reason.Text)})
	}
	pairs = append(pairs, [2]string{"outcome", r.Outcome}, [2]string{"trace", r.TraceID})
	return i.printPairs(pairs)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func latency(r api.Record) string {
	if r.LatencyMS == nil {
		return "-"
	}
	return milliseconds(*r.LatencyMS)
}

func decidedAt(r api.Record) string {
	if r.DecidedAt == nil {
		return "-"
	}
	return clock(*r.DecidedAt)
}
