package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// KeyError says what is wrong with one key of a schema file, and what to do about it.
type KeyError struct {
	Line    int    // 1-based; 0 if unknown
	Path    string // e.g. features[2].min
	Problem string // with the remedy
}

// Error implements error.
func (e *KeyError) Error() string {
	var b strings.Builder
	b.WriteString("schema: ")
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	return b.String() + e.Problem
}

// node is a YAML node that knows its path and where to report. Reading goes on after an error, so that one run shows
// all of them.
type node struct {
	*yaml.Node
	path string
	errs *[]error
}

func (n node) fail(format string, args ...any) {
	line := 0
	if n.Node != nil {
		line = n.Line
	}
	if len(*n.errs) < maxProblems {
		*n.errs = append(*n.errs, &KeyError{Line: line, Path: n.path, Problem: fmt.Sprintf(format, args...)})
	}
}

func (n node) child(key string, c *yaml.Node) node {
	path := key
	if n.path != "" {
		path = n.path + "." + key
	}
	return node{Node: c, path: path, errs: n.errs}
}

// fields reads a mapping with a fixed set of keys.
func (n node) fields(known map[string]func(node)) {
	n.each(func(key string, v node) {
		if read, ok := known[key]; ok {
			read(v)
			return
		}
		v.fail("unknown key; known here: %s%s", strings.Join(sortedKeys(known), ", "), nearest(key, known))
	})
}

// each reads a mapping of any keys, in the file's order.
func (n node) each(read func(key string, v node)) {
	if n.Kind != yaml.MappingNode {
		n.fail("must be a mapping of keys, not %s", kindName(n.Node))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			n.fail("keys must be plain names, not %s", kindName(k))
			continue
		}
		c := n.child(clip(k.Value), v)
		if seen[k.Value] {
			c.fail("given twice; keep one")
			continue
		}
		seen[k.Value] = true
		if v.Kind == yaml.AliasNode {
			c.fail("aliases (*name) are not supported; write the value out")
			continue
		}
		read(k.Value, c)
	}
}

// items reads a list.
func (n node) items(read func(i int, v node)) {
	if n.Kind != yaml.SequenceNode {
		n.fail("must be a list, not %s", kindName(n.Node))
		return
	}
	for i, c := range n.Content {
		v := node{Node: c, path: fmt.Sprintf("%s[%d]", n.path, i), errs: n.errs}
		if c.Kind == yaml.AliasNode {
			v.fail("aliases (*name) are not supported; write the value out")
			continue
		}
		read(i, v)
	}
}

// text reads a scalar as it is written: 1 and "1" are the same text.
func (n node) text() string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		n.fail("must be a text, not %s", kindName(n.Node))
		return ""
	}
	if len(n.Value) > maxText {
		n.fail("is longer than %d bytes; shorten it", maxText)
		return ""
	}
	return n.Value
}

func (n node) number() float64 {
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float") {
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
	}
	n.fail("must be a finite number, not %s", kindName(n.Node))
	return 0
}

func (n node) pointer() *float64 { f := n.number(); return &f }

func (n node) boolean() bool {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		if b, err := strconv.ParseBool(strings.ToLower(n.Value)); err == nil {
			return b
		}
	}
	n.fail("must be true or false, not %s", kindName(n.Node))
	return false
}

// choice reads one of a few words.
func choice[T ~string](n node, options ...T) T {
	got := T(n.text())
	if !slices.Contains(options, got) && got != "" {
		words := make([]string, len(options))
		for i, o := range options {
			words[i] = string(o)
		}
		n.fail("%q is not known; use %s", clip(string(got)), strings.Join(words, ", "))
	}
	return got
}

func kindName(n *yaml.Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(clip(n.Value))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// nearest suggests the key that was probably meant.
func nearest(key string, known map[string]func(node)) string {
	plain := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", "s", "").Replace(strings.ToLower(s))
	}
	for _, k := range sortedKeys(known) {
		if plain(k) == plain(key) {
			return fmt.Sprintf("; did you mean %s?", k)
		}
	}
	return ""
}

// document reads raw as one YAML document. A panic of the YAML library on hostile input becomes an error.
func document(raw []byte) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("schema: not readable as YAML: %v", r)
		}
	}()
	var root, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("schema: not readable as YAML: %w", err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, errors.New("schema: the file is empty; it must have name, label, features and policy")
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("schema: more than one YAML document; put all into one, without a line of three dashes in between")
	}
	return root.Content[0], nil
}
