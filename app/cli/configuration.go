package cli

import (
	"github.com/spf13/cobra"

	"aura/app/config"
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
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if i.file != "" && i.file != args[0] {
					return usage("name the file once", "both --config %s and %s", i.file, args[0])
				}
				i.file = args[0]
			}
			loaded, err := i.load(c)
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
		},
	}
	return group("config", "Show and test the configuration", show, validate)
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
