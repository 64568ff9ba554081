package config

import (
	"reflect"
	"strings"
)

// field is a leaf of Config: one key.
type field struct {
	key    string
	index  []int
	typ    reflect.Type
	tag    reflect.StructTag
	secret bool
}

// fields are all keys in the order of the struct, which is the order in which they are shown.
var fields = leaves(reflect.TypeFor[Config](), "", nil)

var byKey = func() map[string]field {
	m := make(map[string]field, len(fields))
	for _, f := range fields {
		m[f.key] = f
	}
	return m
}()

func leaves(t reflect.Type, prefix string, index []int) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key := prefix + sf.Tag.Get("key")
		at := append(append([]int(nil), index...), i)
		if sf.Type.Kind() == reflect.Struct {
			out = append(out, leaves(sf.Type, key+".", at)...)
			continue
		}
		out = append(out, field{key: key, index: at, typ: sf.Type, tag: sf.Tag, secret: sf.Tag.Get("secret") == "true"})
	}
	return out
}

// Keys lists every key.
func Keys() []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.key
	}
	return out
}

// EnvName is the name of a key in the environment.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func isSection(key string) bool {
	for _, f := range fields {
		if strings.HasPrefix(f.key, key+".") {
			return true
		}
	}
	return false
}

// nearest is the known name that is least edits away from name, if that is near enough to be meant. A name that ends
// alike (addr for http.addr) is near.
func nearest(name string, known []string) string {
	const longest = 60 // what is longer is no slip of the finger, and the distance costs its length squared
	if len(name) > longest {
		return ""
	}
	best, least := "", len(name)/3+2
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if strings.HasSuffix(k, "."+name) || strings.HasSuffix(k, "_"+name) {
			d = 1
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
