package config

import (
	"maps"
	"time"
)

// hidden stands for a secret that is set.
const hidden = "(hidden)"

// Origin says where the value of a key came from: "default", "file NAME", "environment NAME" or "flag --NAME".
func (l Loaded) Origin(key string) string { return l.origins[key] }

// Values lists every key in the order of Config.
func (l Loaded) Values() []Value {
	out := make([]Value, 0, len(fields))
	for _, f := range fields {
		v := f.in(&l.Config)
		value := Value{Key: f.key, Any: v.Interface(), Origin: l.origins[f.key], Text: format(v)}
		switch x := value.Any.(type) {
		case time.Duration, Size:
			value.Any = value.Text
		case []string:
			if x == nil {
				value.Any = []string{}
			}
		}
		if f.secret && !v.IsZero() {
			value.Any, value.Text = hidden, hidden
		}
		out = append(out, value)
	}
	return out
}

// With returns the configuration with values that a command sets itself, and who did it for the keys that it names.
func (l Loaded) With(c Config, origin string, keys ...string) Loaded {
	l.Config, l.origins = c, maps.Clone(l.origins)
	for _, key := range keys {
		l.origins[key] = origin
	}
	return l
}
