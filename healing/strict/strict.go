// Package strict reads YAML that people write into values, and says in their words what is not as it should be: which
// field, what stands there, what may stand there. The decoder beneath it speaks of Go types, and of lines of a text that
// nobody sees where it is a part of a file.
//
// It is pure. Imports: YAML and the standard library. Test it with values.
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Error is a text that has not the form of the value: Field is the path to what is wrong, such as limits.cooldown or
// [2].roles, empty for the whole.
type Error struct{ Field, Problem, Remedy string }

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Problem + "; " + e.Remedy
	}
	return e.Field + ": " + e.Problem + "; " + e.Remedy
}

// Decode reads one document into out, a pointer; an empty one leaves it as it is. Unknown keys are refused. The error is an
// *Error.
func Decode(raw []byte, out any) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	err := dec.Decode(out)
	if errors.Is(err, io.EOF) {
		return nil
	}
	var form *yaml.TypeError
	if err == nil || errors.As(err, &form) { // what is no YAML, or a bomb of aliases, isn't searched
		if found := search(raw, out); found != nil {
			return found
		}
	}
	if err != nil {
		return &Error{"", strings.Join(strings.Fields(err.Error()), " "), "mend the YAML"}
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return &Error{"", "more than one YAML document", "put all into one document, without a line of three dashes in between"}
	}
	return nil
}

// search finds what the decoder stumbled over, or took although it isn't that: it makes 1 of 1.5.
func search(raw []byte, out any) *Error {
	var root yaml.Node
	if yaml.Unmarshal(raw, &root) != nil || len(root.Content) != 1 {
		return nil
	}
	return find(root.Content[0], reflect.TypeOf(out).Elem(), "", 0)
}

// maxDepth ends the search in a text that holds itself.
const maxDepth = 50

// find is the first place in a tree that a type can't take; nil for none.
func find(n *yaml.Node, t reflect.Type, at string, depth int) *Error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.ShortTag() == "!!null" || depth > maxDepth {
		return nil
	}
	form := map[reflect.Kind]yaml.Kind{reflect.Struct: yaml.MappingNode, reflect.Map: yaml.MappingNode, reflect.Slice: yaml.SequenceNode}[t.Kind()]
	if form != 0 && n.Kind != form {
		return &Error{at, got(n) + " is not what this field takes", "give " + wanted(t)}
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return findIn(n, t, at, depth)
	case reflect.Slice:
		for i, item := range n.Content {
			if found := find(item, t.Elem(), at+"["+strconv.Itoa(i)+"]", depth+1); found != nil {
				return found
			}
		}
	default:
		f, err := strconv.ParseFloat(n.Value, 64)
		broken := t.Kind() == reflect.Int && n.ShortTag() == "!!float" && (err != nil || f != math.Trunc(f))
		if broken || n.Decode(reflect.New(t).Interface()) != nil {
			return &Error{at, got(n) + " is not what this field takes", "give " + wanted(t)}
		}
	}
	return nil
}

// findIn searches the values of a table.
func findIn(n *yaml.Node, t reflect.Type, at string, depth int) *Error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, of := n.Content[i].Value, t
		below := strings.TrimPrefix(at+"."+key, ".")
		if t.Kind() == reflect.Map {
			of = t.Elem()
		} else if of = fieldOf(t, key); of == nil {
			return &Error{below, "unknown key", "give of " + strings.Join(keys(t), ", ")}
		}
		if found := find(n.Content[i+1], of, below, depth+1); found != nil {
			return found
		}
	}
	return nil
}

func fieldOf(t reflect.Type, key string) reflect.Type {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name == key && name != "-" {
			return t.Field(i).Type
		}
	}
	return nil
}

func keys(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "-" {
			out = append(out, name)
		}
	}
	return out
}

// wanted names a type as people do.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration with its unit, such as 500ms, 2s or 1h"
	case t.Kind() == reflect.Struct:
		return "a table of " + strings.Join(keys(t), ", ")
	case t.Kind() == reflect.Map:
		return "a table with a name for each entry"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "a text"
}

func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a table"
	case yaml.SequenceNode:
		return "a list"
	}
	text := n.Value
	if cut := []rune(text); len(cut) > 60 {
		text = string(cut[:60]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
