package cli

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"aura/app/config"
)

var errNoStore = errors.New("this program can't open a store by itself")

// stored makes c a command that asks the running server or, if none runs and no address is given, opens the store of the
// configuration by itself. more are flags for keys that only the latter needs.
func (i *invocation) stored(
	c *cobra.Command, remote func(*cobra.Command, *client, []string) error,
	local func(c *cobra.Command, stored config.Config, args []string) error, more ...keyFlag,
) *cobra.Command {
	i.remote(c, remote)
	more = append(more, dbFlag)
	bind(c, more...)
	ask := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		err := ask(c, args)
		if exitCode(err) != ExitUnreachable || i.env("AURA_SERVER") != "" || c.Flags().Changed("server") {
			return err
		}
		needs := []string{"data.dir", config.FlagFile}
		for _, f := range more {
			needs = append(needs, f.key)
		}
		loaded, failed := i.loadFor(c, needs, append(more, dataFlag)...)
		if failed != nil {
			return failed
		}
		if _, statErr := os.Stat(filepath.Join(loaded.Config.Data.Dir, AddressFile)); statErr == nil {
			fmt.Fprintf(i.Err, "aura: the server named in %s doesn't answer; opening the store itself\n", AddressFile)
		}
		return local(c, loaded.Config, args)
	}
	return c
}

// filtered adds flags to a paged command that become parameters of its request.
func filtered(c *cobra.Command, flags [][2]string) *cobra.Command {
	for _, f := range flags {
		c.Flags().String(f[0], "", f[1])
	}
	return c
}

// filterOf is what the flags of filtered say.
func filterOf(c *cobra.Command, query url.Values) {
	for _, name := range []string{"status", "type", "subject"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			v := f.Value.String()
			if name != "subject" && v != "pending" && v != "decided" {
				v = strings.ToUpper(v)
			}
			query.Set(name, v)
		}
	}
}
