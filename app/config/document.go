package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is a part of the file that has a form of its own: YAML text, kept as it is for whoever reads it. Empty means
// what ships. In the environment and on the command line it is given as YAML too.
type Document string

// toDocument takes what a layer holds.
func toDocument(raw any) (Document, bool) {
	if text, isText := raw.(string); isText {
		var parsed any
		return Document(text), yaml.Unmarshal([]byte(text), &parsed) == nil
	}
	if raw == nil {
		return "", true
	}
	text, err := yaml.Marshal(raw)
	return Document(text), err == nil
}

func (d Document) text() string {
	text := strings.TrimSpace(string(d))
	switch lines := strings.Count(text, "\n") + 1; {
	case text == "":
		return "(as shipped)"
	case lines == 1 && len(text) <= 60:
		return text
	default:
		return fmt.Sprintf("(%d lines of YAML)", lines)
	}
}

// documents takes the documents out of the file's tree, so that what is in them isn't read as keys.
func (b *builder) documents(tree map[string]any, name string) {
	for _, f := range fields {
		if f.typ != reflect.TypeFor[Document]() {
			continue
		}
		at, path := tree, strings.Split(f.key, ".")
		for _, part := range path[:len(path)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				at = nil
				break
			}
			at = next
		}
		last := path[len(path)-1]
		if raw, given := at[last]; given {
			delete(at, last)
			b.set(f.key, raw, "file "+name)
		}
	}
}
