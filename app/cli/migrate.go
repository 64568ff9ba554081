package cli

import "github.com/spf13/cobra"

var migrateFlags = []keyFlag{dataFlag, dbFlag, busFlag, brokersFlag}

func (i *invocation) migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Prepare the database and, on Kafka, the topics", Args: exactly(0),
		Long: `Brings the database to this version and, with bus.kind=kafka, creates the topics that the brokers don't have: those of
the pipeline and of the control plane, applications and outcomes, and for each the dead letters'. What is there
stays as it is, so it may be run again. ` + "`aura run`" + ` does the same at its start; this is for who may not create topics or tables there.`,
		Example: `  aura migrate --db postgres://aura_user@db.example:5432/aura_db
  aura migrate --bus=kafka --brokers 127.0.0.1:9092`,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := i.load(c, migrateFlags...)
			if err != nil {
				return err
			}
			return i.commands.Migrate(c.Context(), loaded, i.Streams)
		},
	}
	bind(c, migrateFlags...)
	return c
}
