package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"aura/app/cli"
)

const prometheusDir = "../deploy/prometheus"

// ruleFile is what this test reads of a file of rules.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

// metricNames say what can be asked: our metrics as they are, and what rules record.
type metricNames struct {
	families map[string]*dto.MetricFamily
	recorded map[string][]string // labels, by name
	used     map[string]bool     // our metrics that somebody asked for
}

// scraped are the labels that Prometheus adds to every series.
var scraped = []string{"job", "instance"}

// family finds the metric of a series' name.
func (k *metricNames) family(name string) *dto.MetricFamily {
	if f := k.families[name]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		k.used[name] = true
		return f
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		base, is := strings.CutSuffix(name, part)
		if f := k.families[base]; is && f.GetType() == dto.MetricType_HISTOGRAM {
			k.used[base] = true
			return f
		}
	}
	return nil
}

// labels of a series' name; nil for one that nobody has.
func (k *metricNames) labels(name string) []string {
	if name == "up" || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
		return scraped // not ours; which of them there are depends on the system
	}
	if l := k.recorded[name]; l != nil {
		return l
	}
	f := k.family(name)
	if f == nil {
		return nil
	}
	out := append(slices.Clone(scraped), labelsOf(f)...)
	if strings.HasSuffix(name, "_bucket") {
		out = append(out, "le")
	}
	return out
}

// judge returns what an expression asks for in vain, and the labels that its result can have.
func (k *metricNames) judge(expr string) (problems, labels []string) {
	a, err := ask(expr)
	if err != nil {
		return []string{err.Error()}, nil
	}
	if len(a.selectors) == 0 {
		problems = append(problems, "it selects nothing")
	}
	for _, s := range a.selectors {
		has := k.labels(s.metric)
		if has == nil {
			problems = append(problems, "there is no metric "+s.metric)
			continue
		}
		labels = append(labels, has...)
		for _, m := range s.matchers {
			if !slices.Contains(has, m.label) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", s.metric, m.label))
			} else if v := k.missing(s.metric, m); v != "" {
				problems = append(problems, fmt.Sprintf("%s has no series with %s=%q", s.metric, m.label, v))
			}
		}
	}
	for _, g := range a.grouping {
		if !slices.Contains(labels, g) {
			problems = append(problems, "nothing in it has the label "+g)
		}
	}
	if len(a.grouping) > 0 {
		labels = a.grouping
	}
	return problems, labels
}

// missing returns a value of a matcher that no series has. Labels that only traffic fills, and variables, are left out.
func (k *metricNames) missing(metric string, m matcher) string {
	f := k.family(metric)
	if f == nil || slices.Contains([]string{"job", "instance", "status", "route"}, m.label) || strings.Contains(m.value, "$") {
		return ""
	}
	var have []string
	for _, s := range f.GetMetric() {
		for _, l := range s.GetLabel() {
			if l.GetName() == m.label {
				have = append(have, l.GetValue())
			}
		}
		for _, b := range s.GetHistogram().GetBucket() {
			if m.label == "le" {
				have = append(have, strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
			}
		}
	}
	want := []string{m.value}
	if strings.HasSuffix(m.op, "~") {
		want = strings.Split(m.value, "|")
	}
	for _, v := range want {
		if !slices.Contains(have, v) {
			return v
		}
	}
	return ""
}

// rules sees that every rule asks for what there is and tells a person what to do, and that a test of it exists.
func (k *metricNames) rules(t *testing.T) {
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(prometheusDir, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var file ruleFile
	if err := yaml.Unmarshal(read("rules.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	tests := string(read("rules_test.yaml")) + string(read("burn_test.yaml"))
	docs, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			name := r.Record + r.Alert
			problems, labels := k.judge(r.Expr)
			for _, p := range problems {
				t.Errorf("%s: %s", name, p)
			}
			if r.Record != "" {
				k.recorded[r.Record] = labels
				continue
			}
			alerts++
			if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
				t.Errorf("%s: no test of it fires", name)
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s: severity %q", name, r.Labels["severity"])
			}
			told(t, r, labels, docs)
		}
	}
	if alerts == 0 {
		t.Error("there is no alert")
	}
}

var (
	labelInText   = regexp.MustCompile(`\$labels\.(\w+)`)
	commandInText = regexp.MustCompile(`\baura ([a-z]+)(?: ([a-z]+))?`)
)

// told checks what an alert says: the labels it names are there, and so are the commands and the page that it sends a person to.
func told(t *testing.T, r rule, labels []string, docs []byte) {
	for _, part := range []string{"summary", "action", "runbook_url"} {
		if r.Annotations[part] == "" {
			t.Errorf("%s: no %s", r.Alert, part)
		}
		for _, m := range labelInText.FindAllStringSubmatch(r.Annotations[part], -1) {
			if !slices.Contains(labels, m[1]) {
				t.Errorf("%s: its %s names the label %s, of which the result has %q", r.Alert, part, m[1], labels)
			}
		}
	}
	if named := bytes.Contains(docs, []byte(r.Alert)); named != (r.Labels["severity"] == "critical") {
		t.Errorf("%s is %s, and %s lists it as waking somebody: %t", r.Alert, r.Labels["severity"], metricsDoc, named)
	}
	page, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
	heading := "\n## " + anchor + "\n"
	if "../"+page != metricsDoc || !bytes.Contains(bytes.ReplaceAll(bytes.ToLower(docs), []byte(" "), []byte("-")), []byte(strings.ReplaceAll(heading, " ", "-"))) {
		t.Errorf("%s: there is no %s", r.Alert, r.Annotations["runbook_url"])
	}
	for _, m := range commandInText.FindAllStringSubmatch(r.Annotations["action"], -1) {
		help := helpOf(m[1])
		_, subcommands, has := strings.Cut(help, "Available Commands:")
		if !strings.Contains(help, "aura "+m[1]) || has && !strings.Contains(subcommands, "\n  "+m[2]+" ") {
			t.Errorf("%s: there is no command %q", r.Alert, m[0])
		}
	}
}

var helps = map[string]string{}

// helpOf is what a command says of itself.
func helpOf(command string) string {
	if _, known := helps[command]; !known {
		var out bytes.Buffer
		cli.Main(context.Background(), []string{command, "--help"}, strings.NewReader(""), &out, &out, cli.Commands{})
		helps[command] = out.String()
	}
	return helps[command]
}
