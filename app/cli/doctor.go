package cli

import (
	"errors"
	"net/url"

	"github.com/spf13/cobra"
)

// DoctorRequest is what `aura doctor` asks for beside the configuration.
type DoctorRequest struct {
	// Prometheus is the address of one that shall watch us, or empty.
	Prometheus string
}

func (i *invocation) doctorCommand() *cobra.Command {
	var r DoctorRequest
	c := &cobra.Command{
		Use: "doctor", Short: "Look at each part that the configuration names, and say what to do", Args: exactly(0),
		Long: `Looks at configuration, data directory, server, store, model, and at whatever else is configured. It changes nothing: a database is
not migrated, a webhook is reached and not posted to. Exit code 7 if a part has failed; a warning is none.`,
		Example: "  aura doctor\n  aura doctor --prometheus http://127.0.0.1:9090 -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			if r.Prometheus != "" {
				if u, err := url.Parse(r.Prometheus); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
					return usage("write it whole, such as http://127.0.0.1:9090", "--prometheus %q is no URL", r.Prometheus)
				}
			}
			loaded, err := i.load(c, runFlags...)
			if err != nil {
				return err
			}
			if i.commands.Doctor == nil {
				return errors.New("this program has no doctor")
			}
			report, err := i.commands.Doctor(c.Context(), loaded, r)
			if report == nil {
				return err
			}
			if i.output == "json" {
				return errors.Join(i.printJSON(report), err)
			}
			return errors.Join(report.WriteTable(i.Out), err)
		},
	}
	bind(c, runFlags...)
	c.Flags().StringVar(&r.Prometheus, "prometheus", "", "address of a Prometheus that shall watch this process")
	return c
}
