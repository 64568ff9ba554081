package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aura/app/config"
	"aura/web/api"
)

func (i *invocation) approvalCommand() *cobra.Command {
	list := filtered(paged(i, &cobra.Command{Use: "ls", Short: "List actions that wait for leave, or those decided"}, "/api/v1/approvals",
		[]string{"REQUEST", "ACTION", "TARGET", "INCIDENT", "STATUS", "ASKED", "EXPIRES", "BY", "REASON"},
		func(a api.Approval) []string {
			return []string{
				a.RequestID, a.ActionType, dash(a.Target), a.IncidentID, a.Status, clock(a.CreatedAt), clock(a.ExpiresAt), dash(a.DecidedBy), dash(a.Reason),
			}
		}), [][2]string{{"status", "pending (default) or decided"}})
	return group("approval", "Look at actions that wait for a person, and decide them", list, i.decideCommand("approve", "APPROVED", "Let an action be executed"),
		i.decideCommand("deny", "DENIED", "Refuse an action; the next rung of the ladder is tried"))
}

func (i *invocation) decideCommand(verb, decision, short string) *cobra.Command {
	var reason string
	var with []string
	c := i.remote(&cobra.Command{
		Use: verb + " REQUEST --reason WHY", Short: short, Args: exactly(1),
		Long: "You are who your token says (AURA_TOKEN). What has expired can't be decided any more.",
	}, func(c *cobra.Command, s *client, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(`say why with --reason "..."; it is kept with the decision`, "no --reason")
		}
		body := struct {
			Decision string            `json:"decision"`
			Reason   string            `json:"reason"`
			Params   map[string]string `json:"params,omitempty"`
		}{decision, reason, map[string]string{}}
		for _, w := range with {
			name, value, found := strings.Cut(w, "=")
			if !found {
				return usage("write --with name=value, such as --with dwell=10s", "--with %s has no =", w)
			}
			body.Decision, body.Params[name] = "MODIFIED", value
		}
		var a api.Approval
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/approvals/"+url.PathEscape(args[0])+"/decision", body, &a)
		if err != nil {
			return err
		}
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		return i.printPairs([][2]string{
			{"request", a.RequestID}, {"action", a.ActionType}, {"status", a.Status}, {"by", a.DecidedBy}, {"reason", a.Reason},
		})
	})
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the decision (mandatory)")
	if decision == "APPROVED" {
		c.Flags().StringArrayVar(&with, "with", nil, "approve only with a narrower parameter: execute_within or verify_within shorter, dwell longer (--with dwell=10s; may be repeated)")
	}
	return c
}

func (i *invocation) healCommand() *cobra.Command {
	status := i.remote(&cobra.Command{Use: "status", Short: "Show whether the loop heals, and who paused it", Args: exactly(0)},
		func(c *cobra.Command, s *client, _ []string) error {
			var h api.Healing
			raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/healing", nil, &h)
			if err != nil {
				return err
			}
			return i.printHealing(raw, h)
		})
	verb := func(use, short, long string) *cobra.Command {
		var why change
		return i.changing(i.remote(&cobra.Command{Use: use + " --reason WHY", Short: short, Long: long, Args: exactly(0)},
			func(c *cobra.Command, s *client, _ []string) error {
				var h api.Healing
				raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/healing/"+use, why, &h)
				if err != nil {
					return err
				}
				return i.printHealing(raw, h)
			}), &why)
	}
	return group("heal", "Stop and start healing", status,
		verb("pause", "Stop healing: no new action is begun", "What was executed is still verified, and undone where it doesn't hold."),
		verb("resume", "Let it heal again", ""))
}

func (i *invocation) printHealing(raw []byte, h api.Healing) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
	}
	dry := ""
	if h.DryRun {
		dry = "yes: actions are recorded, none is executed"
	}
	return i.printPairs([][2]string{
		{"healing", h.State},
		{"profile", h.Profile},
		{"dry run", dry},
		{"since", orNothing(h.Since)},
		{"by", h.By},
		{"reason", h.Reason},
		{"open incidents", strconv.Itoa(h.Incidents)},
		{"waiting approvals", strconv.Itoa(h.Approvals)},
	})
}

func orNothing(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return clock(t)
}

func (i *invocation) keysCommand() *cobra.Command {
	var why change
	show := func(raw []byte, k api.KeyRotation) error {
		if i.output == "json" {
			return i.printJSON(json.RawMessage(raw))
		}
		return i.printPairs([][2]string{{"key", k.KeyID}, {"before", dash(k.Previous)}})
	}
	rotate := i.changing(i.stored(&cobra.Command{
		Use: "rotate --reason WHY", Short: "Let governance sign its decisions with a new key", Args: exactly(0),
		Long: `Asks the running server, or changes the store if none runs. The new key is the one that you have put in the place of
governance.key_file, or else one that is made there; other processes on the database read it there too. Decisions that the
old key signed and that were not executed yet execute nothing any more: they are asked for again, also those of people.`,
	}, func(c *cobra.Command, s *client, _ []string) error {
		var k api.KeyRotation
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/keys/rotate", why, &k)
		if err != nil {
			return err
		}
		return show(raw, k)
	}, func(c *cobra.Command, stored config.Config, _ []string) error {
		if i.commands.RotateKey == nil {
			return errNoStore
		}
		k, err := i.commands.RotateKey(c.Context(), stored, why.By, why.Reason)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(k)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		return show(raw, k)
	}), &why)
	create := &cobra.Command{
		Use: "new FILE", Short: "Make a file with a new key, for governance.key_file", Args: exactly(1),
		Long: `Writes the file (mode 0600) and prints the key's name. The key is in force on a database once the first process there
starts with it, or a process that has it is told "aura keys rotate".`,
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := i.commands.NewKey(args[0])
			if err != nil {
				return err
			}
			if i.output == "json" {
				return i.printJSON(map[string]string{"key_id": id, "file": args[0]})
			}
			return i.printPairs([][2]string{{"key", id}, {"file", args[0]}})
		},
	}
	return group("keys", "Manage the key that governance signs with", create, rotate)
}

// notCovered is what a verification says nothing about, completely: a person relies on it.
const notCovered = "applications, decisions on them, outcomes and their counts (objective_minutes); memory; the documents of incidents " +
	"and actions (the text of their timeline is in the records), their version and updated_at; nonces; leases, checkpoints, marks, " +
	"the health and lives of agents; model files; what an earlier version wrote and its records don't say (times of incidents and " +
	"actions, metrics of versions, documents of references)"

func (i *invocation) auditCommand() *cobra.Command {
	list := filtered(paged(i, &cobra.Command{Use: "ls", Short: "Who changed what, latest first"}, "/api/v1/audit",
		[]string{"SEQ", "AT", "ACTOR", "KIND", "SUBJECT", "DETAIL"},
		func(e api.AuditEntry) []string {
			detail := string(e.Detail)
			if r := []rune(detail); len(r) > 100 {
				detail = string(r[:99]) + "…"
			}
			return []string{strconv.FormatInt(e.Seq, 10), clock(e.At), dash(e.Actor), e.Kind, dash(e.Subject), dash(detail)}
		}), [][2]string{{"subject", "only about this: a setting, an incident's or action's id"}})
	verify := i.stored(&cobra.Command{
		Use: "verify", Short: "Recompute the audit's hash chain, compare other tables with it, and name what does not hold", Args: exactly(0),
		Long: `Asks the running server, or reads the store if none runs. Exit code 0 if all holds, 1 if not.
The chain covers the records. Compared with them are: settings, aliases, and the history of both; model versions, references;
incidents, actions, what these did; requests, and decisions with what governance signed.
Not covered: ` + notCovered + `.`,
	}, func(c *cobra.Command, s *client, _ []string) error {
		var r api.AuditReport
		raw, err := s.call(c.Context(), http.MethodGet, "/api/v1/audit/verify", nil, &r)
		if err != nil {
			return err
		}
		return i.printAudit(raw, r)
	}, func(c *cobra.Command, stored config.Config, _ []string) error {
		if i.commands.VerifyAudit == nil {
			return errNoStore
		}
		r, err := i.commands.VerifyAudit(c.Context(), stored)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return i.printAudit(raw, r)
	})
	return group("audit", "Look at the record of every change, and test it", list, verify)
}

func (i *invocation) printAudit(raw []byte, r api.AuditReport) error {
	var err error
	if i.output == "json" {
		err = i.printJSON(json.RawMessage(raw))
	} else if r.OK {
		err = i.printPairs([][2]string{{"audit", "every record holds"}, {"records", strconv.FormatInt(r.Records, 10)}, {"head", r.Head}, {"rows", strconv.FormatInt(r.Rows, 10) + " agree with the records"}, {"not covered", notCovered}, {"unproven", unproven(r.Unproven)}})
	}
	if err != nil || r.OK {
		return err
	}
	if r.Row != "" {
		return Exit(ExitFailure, fmt.Errorf("%s doesn't hold: %s", r.Row, r.Problem),
			fmt.Sprintf("the chain of %d records holds; compare the row with a backup", r.Records))
	}
	return Exit(ExitFailure, fmt.Errorf("the audit is broken at record %d: %s", r.Broken, r.Problem),
		fmt.Sprintf("the %d records before it hold; compare with a backup or a head noted elsewhere", r.Records))
}

// unproven is "" where there is nothing to say.
func unproven(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10) + " decisions were signed with a key that is not on record: they agree, their signatures can't be tested"
}
