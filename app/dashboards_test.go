package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const grafanaDir = "../deploy/grafana"

// dashboardFile is what these tests read of a dashboard.
type dashboardFile struct {
	UID, Title  string
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ UID string }
		Targets                  []struct {
			Expr, LegendFormat string
			Datasource         struct{ UID string }
		}
		FieldConfig struct {
			Defaults struct{ Unit string }
		}
	}
}

func dashboardFiles(t *testing.T) map[string]dashboardFile {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(grafanaDir, "dashboards", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	out := map[string]dashboardFile{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboardFile
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[filepath.Base(name)] = d
	}
	return out
}

// DashboardQueries are the expressions of all panels, by file and title.
func DashboardQueries(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, d := range dashboardFiles(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				out[name+": "+p.Title] = append(out[name+": "+p.Title], q.Expr)
			}
		}
	}
	return out
}

// dashboards holds what is shipped to the rules of Grafana's own linter, and to the metrics that there are.
func (k *metricNames) dashboards(t *testing.T) {
	uids := map[string]bool{}
	for name, d := range dashboardFiles(t) {
		if d.UID == "" || d.Title == "" || uids[d.UID] {
			t.Errorf("%s: uid %q, title %q", name, d.UID, d.Title)
		}
		uids[d.UID] = true
		var variables []string
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
			if selects, is := strings.CutPrefix(v.Query, "label_values("); is {
				selects, label, _ := strings.Cut(strings.TrimSuffix(selects, ")"), ", ")
				problems, labels := k.judge(selects)
				if len(problems) > 0 || !slices.Contains(labels, label) {
					t.Errorf("%s: variable %s: %q of %q, %v", name, v.Name, label, labels, problems)
				}
			}
		}
		if !slices.Equal(variables, []string{"datasource", "job", "instance"}) {
			t.Errorf("%s: variables %q", name, variables)
		}
		for _, a := range d.Annotations.List {
			k.shown(t, name+": annotations", a.Expr, "", "1m")
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			at := name + ": " + p.Title
			if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || ids[p.ID] {
				t.Errorf("%s: it needs a title, a description, a unit, the datasource variable and an id of its own", at)
			}
			ids[p.ID] = true
			for _, q := range p.Targets {
				if q.Datasource.UID != "${datasource}" || q.LegendFormat == "" {
					t.Errorf("%s: a query without the datasource variable, or without a legend", at)
				}
				k.shown(t, at, q.Expr, q.LegendFormat, "$__rate_interval", "1h", "1d", "30d")
			}
		}
	}
}

// shown judges an expression of a dashboard: each selector follows the variables, and ranges are ones that any zoom can bear.
func (k *metricNames) shown(t *testing.T, at, expr, legend string, ranges ...string) {
	t.Helper()
	problems, labels := k.judge(expr)
	for _, p := range problems {
		t.Errorf("%s: %s", at, p)
	}
	a, _ := ask(expr)
	for _, s := range a.selectors {
		if !slices.Contains(s.matchers, matcher{"job", "=", "$job"}) || !slices.Contains(s.matchers, matcher{"instance", "=~", "$instance"}) {
			t.Errorf("%s: %s doesn't follow job and instance", at, s.metric)
		}
	}
	for _, r := range a.ranges {
		if !slices.Contains(ranges, r) {
			t.Errorf("%s: a range of %s", at, r)
		}
	}
	for part := range strings.SplitSeq(legend, "{{") {
		if label, _, is := strings.Cut(part, "}}"); is && !slices.Contains(labels, label) {
			t.Errorf("%s: its legend names the label %s, of which the result has %q", at, label, labels)
		}
	}
}

// readers sees that somebody looks at each metric: a rule or a dashboard.
func (k *metricNames) readers(t *testing.T) {
	for name := range k.families {
		if strings.HasPrefix(name, "aura_") && !k.used[name] {
			t.Errorf("no rule and no dashboard asks for %s", name)
		}
	}
}

// TestGrafanaProvisioning: Grafana scrapes as often as Prometheus does, else rates come out empty, and takes the folder that is there.
func TestGrafanaProvisioning(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var prometheus struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
		}
	}
	read(filepath.Join(prometheusDir, "prometheus.yaml"), &prometheus)
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Type, URL string
			JSONData  struct {
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
	read(filepath.Join(grafanaDir, "provisioning/datasources/aura.yaml"), &sources)
	if s := sources.Datasources; sources.APIVersion != 1 || len(s) != 1 || s[0].Type != "prometheus" || s[0].URL == "" ||
		s[0].JSONData.TimeInterval != prometheus.Global.Interval {
		t.Errorf("%+v, and Prometheus scrapes each %s", sources, prometheus.Global.Interval)
	}
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Type           string
			AllowUIUpdates bool `yaml:"allowUiUpdates"`
			Options        struct{ Path string }
		}
	}
	read(filepath.Join(grafanaDir, "provisioning/dashboards/aura.yaml"), &providers)
	if p := providers.Providers; providers.APIVersion != 1 || len(p) != 1 || p[0].Type != "file" || p[0].AllowUIUpdates || !filepath.IsAbs(p[0].Options.Path) {
		t.Errorf("%+v", providers)
	}
}
