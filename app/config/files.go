package config

import (
	"os"

	"aura/mlops/schema"
)

// Files tests the files that a start reads after the configuration, for who wants to know before the start: the schema whole,
// of the applications only that there is a file. An error is of type Errors.
func (l Loaded) Files() error {
	b := builder{Loaded: l}
	if name := l.Config.Schema.File; name != "" {
		if _, err := schema.Load(name); err != nil {
			b.wrong("schema.file", oneLine(err), "name a readable schema, or leave it empty for the built-in one")
		}
	}
	if name := l.Config.Source.File; name != "" {
		if info, err := os.Stat(name); err != nil {
			b.wrong("source.file", oneLine(err), "name a readable CSV file, or leave it empty")
		} else if info.IsDir() {
			b.wrong("source.file", "it is a directory", "name a CSV file, or leave it empty")
		}
	}
	if len(b.problems) > 0 {
		return b.problems
	}
	return nil
}
