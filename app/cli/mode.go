package cli

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aura/web/api"
)

// change is who changes something and why: the body of every request that does.
type change struct {
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
}

// changing adds the flags of change to a command.
func (i *invocation) changing(c *cobra.Command, into *change) *cobra.Command {
	c.Flags().StringVar(&into.Reason, "reason", "", "why; kept in the history (mandatory)")
	c.Flags().StringVar(&into.By, "by", "", "who (default: $USER)")
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(into.Reason) == "" {
			return usage(`say why with --reason "..."; it is kept in the history`, "no --reason")
		}
		if into.By == "" {
			into.By = i.env("USER")
		}
		return run(c, args)
	}
	return c
}

func (i *invocation) modeCommand() *cobra.Command {
	show := i.remote(&cobra.Command{Use: "show", Short: "Show who decides: the model or the rules", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			var mode api.Mode
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/mode", nil, &mode)
			if err != nil {
				return err
			}
			return i.printMode(raw, mode)
		})
	var why change
	set := i.remote(&cobra.Command{
		Use: "set MODEL|SAFE_MODE --reason WHY", Short: "Let the rules decide, or the model again", Args: exactly(1),
		Long:      "Returns once no decision in the old mode can be written any more.",
		Example:   `  aura mode set SAFE_MODE --reason "model agent hangs"`,
		ValidArgs: []string{api.ModeModel, api.ModeSafe},
	}, func(c *cobra.Command, s *client, args []string) error {
		name := strings.ToUpper(args[0])
		if name != api.ModeModel && name != api.ModeSafe {
			return usage("take MODEL or SAFE_MODE", "unknown mode %q", args[0])
		}
		var mode api.Mode
		body := struct {
			Mode string `json:"mode"`
			change
		}{name, why}
		raw, err := s.call(c.Context(), http.MethodPut, "/api/v1/mode", body, &mode)
		if err != nil {
			return err
		}
		return i.printMode(raw, mode)
	})
	return group("mode", "Show or set who decides", show, i.changing(set, &why))
}

func (i *invocation) printMode(raw []byte, m api.Mode) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	return i.printPairs([][2]string{
		{"mode", m.Mode},
		{"generation", strconv.FormatInt(m.Generation, 10)},
		{"since", clock(m.Since)},
		{"by", m.By},
		{"reason", m.Reason},
	})
}
