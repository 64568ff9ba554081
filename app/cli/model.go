package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aura/web/api"
)

func (i *invocation) modelCommand() *cobra.Command {
	show := i.remote(&cobra.Command{Use: "show VERSION", Short: "Show one version", Args: exactly(1)},
		func(c *cobra.Command, s *client, args []string) error {
			version, err := versionOf(args[0])
			if err != nil {
				return err
			}
			var m api.Model
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/models/"+version, nil, &m)
			if err != nil {
				return err
			}
			return i.printModel(raw, m)
		})
	var promoteWhy, rollbackWhy change
	promote := i.remote(&cobra.Command{
		Use: "promote VERSION --reason WHY", Short: "Make a version the champion", Args: exactly(1),
		Long: "The version is loaded and scores before anything switches. Returns once the live model agents use it.",
	}, func(c *cobra.Command, s *client, args []string) error {
		version, err := versionOf(args[0])
		if err != nil {
			return err
		}
		return i.switchModel(c, s, "/api/v1/models/"+version+"/promote", promoteWhy)
	})
	rollback := i.remote(&cobra.Command{Use: "rollback --reason WHY", Short: "Make the previous champion the champion again", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			return i.switchModel(c, s, "/api/v1/models/rollback", rollbackWhy)
		})
	return group("model", "Look at model versions and choose the champion",
		pagedModels(i), show, i.changing(promote, &promoteWhy), i.changing(rollback, &rollbackWhy), pagedHistory(i),
		i.exportCommand(), i.importCommand())
}

// paged is a command that lists a page of what a path serves.
func paged[T any](i *invocation, c *cobra.Command, path string, header []string, row func(T) []string) *cobra.Command {
	var limit int
	var cursor string
	c.Args = exactly(0)
	i.remote(c, func(c *cobra.Command, s *client, _ []string) error {
		if limit < 1 || limit > 200 {
			return usage("take a --limit between 1 and 200", "a limit of %d", limit)
		}
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		filterOf(c, query)
		var page api.List[T]
		raw, err := s.call(c.Context(), http.MethodGet, path+"?"+query.Encode(), nil, &page)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		t := newTable(header...)
		for _, item := range page.Items {
			t.add(row(item)...)
		}
		if page.NextCursor != "" {
			fmt.Fprintf(i.Err, "there are more: --cursor %s\n", printable(page.NextCursor))
		}
		return i.printTable(t)
	})
	c.Flags().IntVar(&limit, "limit", 50, "rows at most, 1 to 200")
	c.Flags().StringVar(&cursor, "cursor", "", "where to go on, from the page before")
	return c
}

func pagedModels(i *invocation) *cobra.Command {
	return paged(i, &cobra.Command{Use: "ls", Short: "List versions, newest first"}, "/api/v1/models",
		[]string{"VERSION", "ALIASES", "CV AUC", "HOLDOUT AUC", "BRIER", "ROWS", "SCHEMA", "CREATED", "DIGEST"},
		func(m api.Model) []string {
			return []string{
				strconv.Itoa(m.Version), dash(strings.Join(m.Aliases, ",")), score(m.Metrics.CVAUC), score(m.Metrics.HoldoutAUC),
				score(m.Metrics.Brier), strconv.Itoa(m.Rows), dash(m.SchemaName), clock(m.CreatedAt), short(m.Digest),
			}
		})
}

func pagedHistory(i *invocation) *cobra.Command {
	return paged(i, &cobra.Command{Use: "history", Short: "Which version had which alias: who, when, why"}, "/api/v1/models/history",
		[]string{"AT", "ALIAS", "VERSION", "PREVIOUS", "GENERATION", "BY", "REASON"},
		func(h api.AliasChange) []string {
			previous := "-"
			if h.Previous > 0 {
				previous = strconv.Itoa(h.Previous)
			}
			return []string{clock(h.At), h.Alias, strconv.Itoa(h.Version), previous, strconv.FormatInt(h.Generation, 10), dash(h.By), dash(h.Reason)}
		})
}

func (i *invocation) switchModel(c *cobra.Command, s *client, path string, why change) error {
	var result api.Switch
	raw, err := s.call(c.Context(), http.MethodPost, path, why, &result)
	if err != nil {
		return err
	}
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	pairs := [][2]string{
		{"champion", strconv.Itoa(result.Version)},
		{"previous", ""},
		{"digest", result.Digest},
		{"generation", strconv.FormatInt(result.Generation, 10)},
	}
	if result.Previous > 0 {
		pairs[1][1] = strconv.Itoa(result.Previous)
	}
	return i.printPairs(pairs)
}

func (i *invocation) printModel(raw []byte, m api.Model) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	window := ""
	if !m.WindowFrom.IsZero() {
		window = clock(m.WindowFrom) + " to " + clock(m.WindowTo)
	}
	return i.printPairs([][2]string{
		{"version", strconv.Itoa(m.Version)},
		{"aliases", strings.Join(m.Aliases, ", ")},
		{"digest", m.Digest},
		{"schema", m.SchemaName},
		{"schema digest", m.SchemaDigest},
		{"cv auc", score(m.Metrics.CVAUC)},
		{"holdout auc", score(m.Metrics.HoldoutAUC)},
		{"brier", score(m.Metrics.Brier)},
		{"accuracy", score(m.Metrics.Accuracy)},
		{"log loss", score(m.Metrics.LogLoss)},
		{"rows", strconv.Itoa(m.Rows)},
		{"window", window},
		{"seed", strconv.FormatUint(m.Seed, 10)},
		{"created", clock(m.CreatedAt)},
		{"by", m.CreatedBy},
		{"note", m.Note},
	})
}

func versionOf(text string) (string, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "v"), 10, 32)
	if err != nil || n < 1 {
		return "", usage("write the number that `aura model ls` shows, such as 3", "%q is no version", text)
	}
	return strconv.FormatInt(n, 10), nil
}

func score(f *float64) string {
	if f == nil {
		return "-"
	}
	return strconv.FormatFloat(*f, 'f', 4, 64)
}

func short(digest string) string { return digest[:min(12, len(digest))] }
