package cli

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Build is what the binary says about itself.
type Build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified"`       // built from a tree with changes that are not in the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild reads the build information that Go puts into the binary.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown"}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	var system, arch string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "GOOS":
			system = s.Value
		case "GOARCH":
			arch = s.Value
		}
	}
	b.Platform = system + "/" + arch
	return b
}

// String is one line: version, commit, compiler, platform.
func (b Build) String() string {
	text := "aura " + b.Version
	if b.Commit != "" {
		text += " commit " + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			text += " (modified)"
		}
	}
	return text + " " + b.Go + " " + b.Platform
}

func (i *invocation) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show version, commit and compiler", Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			b := ReadBuild()
			if i.output == "json" {
				return i.printJSON(b)
			}
			return i.printLine(b.String())
		},
	}
}
