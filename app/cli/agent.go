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

func (i *invocation) agentCommand() *cobra.Command {
	list := i.remote(&cobra.Command{Use: "ls", Short: "List agents with state, incarnation, progress and queue", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			var agents api.List[api.Agent]
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/agents", nil, &agents)
			if err != nil {
				return err
			}
			return i.printAgents(raw, agents.Items)
		})
	var why change
	restart := i.remote(&cobra.Command{
		Use: "restart NAME --reason WHY", Short: "Begin an agent's next incarnation", Args: exactly(1),
		Long: "Its mailbox keeps what waits; nothing is lost.", Example: `  aura agent restart model --reason "stuck"`,
	}, func(c *cobra.Command, s *client, args []string) error {
		var agent api.Agent
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/agents/"+url.PathEscape(args[0])+"/restart", why, &agent)
		if err != nil {
			return err
		}
		return i.printAgents(raw, []api.Agent{agent})
	})
	return group("agent", "Look at agents and restart them", list, i.changing(restart, &why))
}

func (i *invocation) printAgents(raw []byte, agents []api.Agent) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	t := newTable("NAME", "INSTANCE", "STATE", "INCARNATION", "HANDLED", "RATE/S", "P50", "P99", "QUEUE", "OLDEST", "FAILED", "REFUSED", "NOTE")
	for _, a := range agents {
		note := a.Cause
		if note == "" {
			note = a.NotReady
		}
		t.add(a.Name, a.Instance, a.State, strconv.FormatInt(a.Incarnation, 10), strconv.FormatInt(a.Handled, 10), fmt.Sprintf("%.1f", a.Rate),
			milliseconds(a.P50MS), milliseconds(a.P99MS), strings.TrimSpace(strconv.Itoa(a.Queue)+" "+a.QueueNote()), milliseconds(a.QueueAgeMS),
			strconv.FormatInt(a.Failed, 10), strconv.FormatInt(a.Refused, 10), dash(note))
	}
	return i.printTable(t)
}

func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2fms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return fmt.Sprintf("%.1fs", ms/1000)
	}
}
