package cli

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aura/app/config"
	"aura/web/api"
)

func (i *invocation) configCommand() *cobra.Command {
	var origin bool
	show := &cobra.Command{
		Use: "show", Short: "Show every key and its value", Args: exactly(0),
		Example: "  aura config show --origin\n  AURA_BUS_LANES=8 aura config show --origin -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := i.load(c, runFlags...)
			if err != nil {
				return err
			}
			return i.printConfig(loaded, origin)
		},
	}
	bind(show, runFlags...)
	show.Flags().BoolVar(&origin, "origin", false, "show where each value came from")
	validate := &cobra.Command{
		Use: "validate [FILE]", Short: "Test a configuration file, with environment and flags as they stand", Args: atMost(1),
		RunE: i.validateFile,
	}
	return group("config", "Show, test and reload the configuration", show, validate, i.reloadCommand())
}

// validateFile tests the file that is named, with environment and flags as they stand.
func (i *invocation) validateFile(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		if i.file != "" && i.file != args[0] {
			return usage("name the file once", "both --config %s and %s", i.file, args[0])
		}
		i.file = args[0]
	}
	loaded, err := i.load(c)
	if err == nil {
		err = loaded.Files()
	}
	if err == nil && i.commands.Check != nil {
		err = i.commands.Check(loaded.Config)
	}
	if err != nil {
		return err
	}
	if i.output == "json" {
		return i.printJSON(map[string]any{"valid": true, "file": loaded.File})
	}
	if loaded.File == "" {
		return i.printLine("valid: no file, defaults and environment only")
	}
	return i.printLine("valid: " + loaded.File)
}

func (i *invocation) reloadCommand() *cobra.Command {
	var why change
	return i.changing(i.remote(&cobra.Command{
		Use: "reload --reason WHY", Short: "Let the running server read its configuration again", Args: exactly(0),
		Long: `The server takes over healing.playbooks, governance.profile, governance.rules and governance.limits, for what begins from
now on; it says which other keys changed and need a restart. A configuration that is wrong is refused, with each key
named and exit code 3, and the old one stays in force. SIGHUP does the same.`,
	}, func(c *cobra.Command, s *client, _ []string) error {
		var r api.Reload
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/config/reload", why, &r)
		if exitCode(err) == ExitUsage {
			return Exit(ExitConfig, err, "the old configuration stays in force")
		}
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		return i.printPairs([][2]string{
			{"applied", orNone(r.Applied)}, {"need a restart", orNone(r.NeedRestart)}, {"playbook", r.Playbook}, {"policy", r.Policy},
		})
	}), &why)
}

func orNone(keys []string) string {
	if len(keys) == 0 {
		return "nothing changed"
	}
	return strings.Join(keys, ", ")
}

func (i *invocation) playbookCommand() *cobra.Command {
	show := i.remote(&cobra.Command{
		Use: "show", Short: "Show what the running server may try for each kind of incident", Args: exactly(0),
	}, func(c *cobra.Command, s *client, _ []string) error {
		var p api.Playbook
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/playbook", nil, &p)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		t := newTable("INCIDENT TYPE", "RUNG", "ACTION", "REQUIRES", "VERIFIED BY", "WITHIN", "DWELL", "COOLDOWN", "THEN")
		for _, l := range p.Items {
			for n, r := range l.Rungs {
				action := r.Action
				if r.Protect {
					action += " (protects)"
				}
				t.add(l.Type, strconv.Itoa(n+1), action, dash(strings.Join(r.Requires, ", ")), r.Verification, dash(r.VerifyWithin), dash(r.Dwell), dash(r.Cooldown), dash(following(r.Then)))
			}
		}
		if err := i.printPairs([][2]string{{"playbook", p.Digest}, {"policy", p.Policy}}); err != nil {
			return err
		}
		return i.printTables(t)
	})
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Test the playbooks of a configuration file without a server", Args: atMost(1),
		Long: "The same as `aura config validate`: the playbooks are tested with all the rest. Exit code 3 names the field that is wrong.",
	}
	check.RunE = i.validateFile
	return group("playbook", "Look at what may be tried for each kind of incident", show, check)
}

// following writes what follows in a rung, by outcome.
func following(then map[string][]string) string {
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(then)) {
		parts = append(parts, outcome+": "+strings.Join(then[outcome], " + "))
	}
	return strings.Join(parts, "; ")
}

func (i *invocation) printConfig(loaded config.Loaded, origin bool) error {
	values := loaded.Values()
	if i.output == "json" {
		return i.printJSON(struct {
			File  string         `json:"file,omitempty"`
			Items []config.Value `json:"items"`
		}{loaded.File, values})
	}
	header := []string{"KEY", "VALUE"}
	if origin {
		header = append(header, "ORIGIN")
	}
	t := newTable(header...)
	for _, v := range values {
		row := []string{v.Key, v.Text}
		if origin {
			row = append(row, v.Origin)
		}
		t.add(row...)
	}
	return i.printTable(t)
}
