package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/yaml"
	yamlv3 "go.yaml.in/yaml/v3"
)

// FileName is read from the working directory when no file is named.
const FileName = "config.yaml"

const (
	envPrefix   = "AURA_"
	maxFileSize = 1 << 20
)

// Flag is a value given on the command line: Name is how it was written (--http), for the origin.
type Flag struct{ Name, Key, Value string }

// Options says what to load from.
type Options struct {
	// File is a file that must exist; empty means FileName in Dir, if it is there.
	File string
	// Dir is the working directory; empty means the process' own.
	Dir string
	// Environ is as os.Environ gives it.
	Environ []string
	// Flags in order: a later one beats an earlier one of the same key.
	Flags []Flag
}

// Loaded is a configuration and where each value came from.
type Loaded struct {
	Config Config
	// File is the file that was read, or empty.
	File    string
	origins map[string]string
	from    Options
}

// Again reads file, environment and flags once more, as they were named then. The environment and the command line of a
// process don't change, its file may.
func (l Loaded) Again() (Loaded, error) {
	o := l.from
	if l.File != "" {
		o.File = l.File // one that is gone is an error now
	}
	return Load(o)
}

// Changed lists the keys whose values differ.
func Changed(a, b Config) []string {
	var out []string
	for _, f := range fields {
		if !reflect.DeepEqual(f.in(&a).Interface(), f.in(&b).Interface()) {
			out = append(out, f.key)
		}
	}
	return out
}

// Value is one key as it stands. Text is how one would write it; a secret's is hidden. Any is the value for JSON.
type Value struct {
	Key    string `json:"key"`
	Any    any    `json:"value"`
	Origin string `json:"origin"`
	Text   string `json:"-"`
}

// Load reads file, environment and flags, and validates the result. Its error is Errors; with it comes what can be used all
// the same: a key whose value is refused has its default, and where the file can't be read all is as without it.
func Load(o Options) (Loaded, error) {
	name := o.File
	if name == "" {
		name = filepath.Join(o.Dir, FileName)
	}
	content, err := readFile(name)
	unread := Problem{Key: FlagFile, Value: name, Wrong: "there is no such file", Remedy: "name a file that exists, or leave --config out to run on defaults"}
	switch {
	case err == nil:
	case o.File == "" && errors.Is(err, os.ErrNotExist):
		name, err = "", nil
	case errors.Is(err, os.ErrNotExist):
	default:
		unread.Wrong, unread.Remedy = err.Error(), "make it a readable YAML file of less than 1 MiB"
	}
	if err != nil {
		content, name = nil, ""
		if o.File == "" {
			unread.Key, unread.Value = unread.Value, ""
		}
	}
	l, refused := load(content, name, o)
	l.from = o
	if err != nil {
		more, _ := refused.(Errors)
		refused = append(Errors{unread}, more...)
	}
	return l, refused
}

// FlagFile is the key of a Problem with a file that was named.
const FlagFile = "--config"

// Refused reports whether the problem is with the value that a key would have, not with one that a stronger layer replaces.
func (l Loaded) Refused(p Problem) bool {
	return l.origins[p.Key] == "default" || l.origins[p.Key] == p.Origin
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(content) > maxFileSize {
		err = errors.New("it is larger than 1 MiB")
	}
	return content, err
}

// load is Load after the file has been read.
func load(content []byte, name string, o Options) (Loaded, error) {
	b := builder{Loaded: Loaded{Config: Default(), File: name, origins: make(map[string]string, len(fields))}}
	for _, f := range fields {
		b.origins[f.key] = "default"
	}
	b.file(content, name)
	b.environment(o.Environ)
	for _, f := range o.Flags {
		b.set(f.Key, f.Value, "flag "+f.Name)
	}
	b.validate()
	if len(b.problems) > 0 {
		order := Keys()
		slices.SortStableFunc(b.problems, func(x, y Problem) int {
			return slices.Index(order, x.Key) - slices.Index(order, y.Key)
		})
		usual := Default()
		for _, p := range b.problems {
			if f, known := byKey[p.Key]; known && b.Refused(p) {
				f.in(&b.Config).Set(f.in(&usual))
			}
		}
		return b.Loaded, b.problems
	}
	return b.Loaded, nil
}

// builder applies layers in rising order of precedence and gathers what is wrong with them.
type builder struct {
	Loaded
	problems Errors
	broken   map[string]bool // keys that hold no usable value: not validated further
}

func (b *builder) refuse(p Problem) { b.problems = append(b.problems, p) }

func (b *builder) file(content []byte, name string) {
	if len(bytes.TrimSpace(content)) == 0 {
		return
	}
	tree, err := yaml.Parser().Unmarshal(content)
	if err != nil {
		b.refuse(Problem{Key: name, Wrong: oneLine(err), Remedy: "mend the YAML there; config.yaml of the distribution shows the form"})
		return
	}
	if line := another(content); line > 0 {
		b.refuse(Problem{
			Key: name, Wrong: fmt.Sprintf("more than one YAML document, of which only the first would count; the second begins at line %d", line),
			Remedy: "put all into one document, without a line of three dashes in between",
		})
	}
	maps.IntfaceKeysToStrings(tree)
	b.documents(tree, name)
	flat, paths := maps.Flatten(tree, nil, ".")
	keys := make([]string, 0, len(flat))
	for key := range flat {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if slices.ContainsFunc(paths[key], func(part string) bool { return strings.Contains(part, ".") }) {
			b.refuse(Problem{Key: key, Origin: "file " + name, Wrong: "a dotted key in the file", Remedy: "nest it: one level of indentation for each dot"})
			continue
		}
		empty, isMap := flat[key].(map[string]any)
		if isSection(key) && (flat[key] == nil || isMap && len(empty) == 0) {
			continue // a section whose every line is commented out
		}
		b.set(key, flat[key], "file "+name)
	}
}

// another is the line at which a second document begins, 0 where there is none.
func another(content []byte) int {
	dec := yamlv3.NewDecoder(bytes.NewReader(content))
	var first, more yamlv3.Node
	if dec.Decode(&first) != nil || len(first.Content) == 0 || errors.Is(dec.Decode(&more), io.EOF) {
		return 0
	}
	lines := bytes.Split(content, []byte("\n"))
	begin := first.Content[0].Line
	return begin + 1 + slices.IndexFunc(lines[min(begin, len(lines)):], func(line []byte) bool { return bytes.HasPrefix(line, []byte("---")) })
}

// set gives key a raw value of a layer.
func (b *builder) set(key string, raw any, origin string) {
	f, known := byKey[key]
	if !known {
		b.refuse(unknown(key, origin))
		return
	}
	v, ok := convert(raw, f.typ)
	if b.broken == nil {
		b.broken = make(map[string]bool)
	}
	b.broken[key] = !ok
	if !ok {
		b.refuse(Problem{Key: key, Value: f.display(raw), Origin: origin, Wrong: "not what this key takes", Remedy: wanted(f.typ)})
		return
	}
	f.in(&b.Config).Set(v)
	b.origins[key] = origin
}

func unknown(key, origin string) Problem {
	p := Problem{Key: key, Origin: origin, Wrong: "unknown key", Remedy: "`aura config show` lists the known ones"}
	if isSection(key) {
		p.Wrong, p.Remedy = "a section, not a value", "nest its keys under it: `aura config show` lists them"
	} else if near := nearest(key, Keys()); near != "" {
		p.Remedy = fmt.Sprintf("did you mean %s? `aura config show` lists the known ones", near)
	}
	return p
}

func (f field) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.index) }

func (f field) display(raw any) string {
	if f.secret {
		return hidden
	}
	if raw == nil {
		return "(empty)"
	}
	text := fmt.Sprintf("%v", raw)
	if s, isText := raw.(string); isText {
		text = fmt.Sprintf("%q", s)
	}
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return text
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
