package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// notSettings are names with our prefix that mean something else: what commands and tests read, and what Kubernetes puts into
// every container when a Service is called aura.
var notSettings = regexp.MustCompile(`^AURA_(CONFIG|SERVER|KILLS|OUTAGE|PYTHON|TEST_.+|SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_.+)?)$`)

// environment applies what is set there. Compose files and CI pass variables on as empty, which means unset here.
func (b *builder) environment(environ []string) {
	keys := make(map[string]string, len(fields)+1)
	for _, f := range fields {
		keys[EnvName(f.key)] = f.key
		if also := f.tag.Get("env"); also != "" {
			keys[also] = f.key
		}
	}
	entries := slices.Sorted(slices.Values(environ))
	given := make(map[string]string) // key -> variable
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || notSettings.MatchString(name) {
			continue
		}
		key, known := keys[name]
		if !known && !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if !known {
			b.refuse(unknownVariable(name, keys))
			continue
		}
		if other := given[key]; other != "" {
			b.refuse(Problem{Key: key, Origin: "environment " + name, Wrong: other + " sets it too", Remedy: "unset one of the two"})
			continue
		}
		given[key] = name
		b.set(key, value, "environment "+name)
	}
}

func unknownVariable(name string, keys map[string]string) Problem {
	names := make([]string, 0, len(keys))
	for known := range keys {
		names = append(names, known)
	}
	slices.Sort(names)
	p := Problem{Key: name, Origin: "environment", Wrong: "unknown key", Remedy: "unset it, or take a known name: AURA_ and the key with _ for each dot"}
	if near := nearest(name, names); near != "" {
		p.Remedy = fmt.Sprintf("did you mean %s? otherwise unset it", near)
	}
	return p
}
