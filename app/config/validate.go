package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aura/agents/governance"
	"aura/mlops/registry/mlflow"
)

// validate tests each value by its tags, then what the tags can't say. Keys whose value couldn't be read are left out:
// what is wrong with them is said already.
func (b *builder) validate() {
	for _, f := range fields {
		if wrong, remedy := f.check(f.in(&b.Config)); wrong != "" && !b.broken[f.key] {
			b.wrong(f.key, wrong, remedy)
		}
	}
	b.address()
	b.selection()
	if !instanceName.MatchString(b.Config.Instance) {
		b.wrong("instance", "no name of a process", "use up to 63 letters, digits, dots, dashes and underscores, such as model-0; leave it empty for one that the data directory keeps")
	}
	b.sources()
	b.kafka()
	b.loop()
	b.people()
	b.detection()
	c := &b.Config
	if c.Sweep.MinAge > c.Sweep.MaxAge {
		b.wrong("sweep.min_age", "longer than sweep.max_age = "+formatDuration(c.Sweep.MaxAge), "lower it, or raise sweep.max_age")
	}
	if strings.TrimSpace(c.Data.Dir) == "" {
		b.wrong("data.dir", "empty", "name a directory, such as ./data")
	}
	if u := c.Store.URL; u != "" && !postgres.MatchString(u) {
		b.wrong("store.url", "not the address of a PostgreSQL database", "write postgres://user:password@host:5432/database, or leave it empty for SQLite in data.dir")
	}
	if m := c.MLflow; m.URL != "" {
		if _, err := mlflow.NewClient(m.URL, mlflow.Credentials{}, 0); err != nil {
			b.wrong("mlflow.url", strings.TrimPrefix(oneLine(err), "mlflow: "), "or leave it empty for no mirror")
		}
		if strings.TrimSpace(m.Experiment) == "" {
			b.wrong("mlflow.experiment", "empty", "name one, such as aura")
		}
		if strings.ContainsAny(m.Model, "/:'\"") {
			b.wrong("mlflow.model", "a registered model's name has no slash, colon or quote", "name another, or leave it empty for the schema's name")
		}
	}
	if e := c.Tracing.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			b.wrong("tracing.endpoint", "not an http or https URL of a collector", "write it whole, such as http://127.0.0.1:4318; who sends is said by OTEL_EXPORTER_OTLP_HEADERS")
		}
	}
	if w := c.Healing.Webhook; w != "" {
		// What is wrong with it is said without a word of it: it may hold a secret.
		if u, err := url.Parse(w); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			b.wrong("healing.webhook", "not an absolute http or https URL", "write it whole, such as https://hooks.example/aura")
		}
	}
	if !visible.MatchString(c.HTTP.Token) {
		b.wrong("http.token", "it can't be sent in a header", "use letters, digits and punctuation without spaces, such as the output of `openssl rand -hex 32`")
	}
}

var (
	postgres     = regexp.MustCompile(`^postgres(ql)?://`)
	visible      = regexp.MustCompile(`^[!-~]*$`)
	instanceName = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$`)
	agentName    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// wrong refuses the value that a key has now.
func (b *builder) wrong(key, wrong, remedy string) {
	f := byKey[key]
	value := format(f.in(&b.Config))
	if f.secret {
		value = hidden
	}
	b.refuse(Problem{Key: key, Value: value, Origin: b.origins[key], Wrong: wrong, Remedy: remedy})
}

// check tests a value by the tags of its field.
func (f field) check(v reflect.Value) (wrong, remedy string) {
	if list := f.tag.Get("enum"); list != "" {
		if allowed := strings.Split(list, ","); !slices.Contains(allowed, v.String()) {
			return "not one of its values", "take one of " + strings.Join(allowed, ", ")
		}
	}
	for _, bound := range []struct {
		tag, word string
		fails     func(order int) bool
	}{
		{"min", "at least ", func(order int) bool { return order < 0 }},
		{"max", "at most ", func(order int) bool { return order > 0 }},
		{"above", "more than ", func(order int) bool { return order <= 0 }},
	} {
		text := f.tag.Get(bound.tag)
		if text == "" {
			continue
		}
		limit, ok := convert(text, f.typ)
		if !ok {
			panic(fmt.Sprintf("config: bound %s of %s is %q", bound.tag, f.key, text))
		}
		if bound.fails(compare(v, limit)) {
			return "out of bounds", "set it to " + bound.word + text
		}
	}
	return "", ""
}

func compare(a, b reflect.Value) int {
	if a.CanFloat() {
		switch {
		case a.Float() < b.Float():
			return -1
		case a.Float() > b.Float():
			return 1
		}
		return 0
	}
	switch {
	case a.Int() < b.Int():
		return -1
	case a.Int() > b.Int():
		return 1
	}
	return 0
}

// address keeps the edge shut (D16): another address than loopback is served only to who knows the token.
func (b *builder) address() {
	addr := b.Config.HTTP.Addr
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		b.wrong("http.addr", "not an address", "write host:port, such as 127.0.0.1:8080; port 0 picks a free one")
		return
	}
	if !Loopback(host) && b.Config.HTTP.Token == "" {
		b.wrong("http.addr", "an address that others can reach, and no token", "set AURA_TOKEN to a secret, or listen on 127.0.0.1:"+port)
	}
}

// Loopback reports whether a host can only be reached from this machine. Names other than localhost are not looked up
// and count as reachable.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// selection tests the form of the list; which agents there are, and which can do without which, app knows.
func (b *builder) selection() {
	seen := make(map[string]bool)
	for _, name := range b.Config.Agents.Select {
		switch {
		case !agentName.MatchString(name):
			b.wrong("agents.select", fmt.Sprintf("%q is no name of an agent", name), "write lower-case names, such as model,decision; leave it empty for all")
		case seen[name]:
			b.wrong("agents.select", name+" stands there twice", "name each agent once")
		}
		seen[name] = true
	}
}

// people tests the file of principals: a process that can't read it doesn't start.
func (b *builder) people() {
	name := b.Config.Governance.Principals
	if name == "" {
		return
	}
	content, err := readFile(name)
	if err != nil {
		b.wrong("governance.principals", oneLine(err), "name a readable YAML file of people, or leave it empty")
		return
	}
	if _, err := governance.ParsePrincipals(content); err != nil {
		b.wrong("governance.principals", oneLine(err), "write a list of {name, roles: [viewer, operator, approver, admin, ingest], token_sha256}")
	}
}

// sources lets a file of applications replace the simulator, which knows only made-up ones. Who asks for both where it
// counts, on the command line or in the environment, hears that it can't be.
func (b *builder) sources() {
	c := &b.Config
	if c.Source.File == "" || c.Simulate.Rate == 0 {
		return
	}
	if origin := b.origins["simulate.rate"]; strings.HasPrefix(origin, "flag") || strings.HasPrefix(origin, "environment") {
		b.wrong("simulate.rate", "source.file is set too ("+b.origins["source.file"]+")", "leave one of the two out: either a file is streamed or applications are made up")
		return
	}
	c.Simulate.Rate = 0
	b.origins["simulate.rate"] = "off, since source.file is set"
}
