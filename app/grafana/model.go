package grafana

import "strings"

// The parts of Grafana's classic dashboard model that are used here.
type (
	model struct {
		UID           string      `json:"uid"`
		Title         string      `json:"title"`
		Description   string      `json:"description"`
		Tags          []string    `json:"tags"`
		SchemaVersion int         `json:"schemaVersion"`
		Editable      bool        `json:"editable"`
		GraphTooltip  int         `json:"graphTooltip"`
		Refresh       string      `json:"refresh"`
		Time          timeRange   `json:"time"`
		Timezone      string      `json:"timezone"`
		Links         []link      `json:"links"`
		Annotations   annotations `json:"annotations"`
		Templating    templating  `json:"templating"`
		Panels        []panel     `json:"panels"`
	}
	timeRange struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	link struct {
		Title       string   `json:"title"`
		Type        string   `json:"type"`
		Tags        []string `json:"tags"`
		AsDropdown  bool     `json:"asDropdown"`
		IncludeVars bool     `json:"includeVars"`
		KeepTime    bool     `json:"keepTime"`
	}
	annotations struct {
		List []annotation `json:"list"`
	}
	annotation struct {
		Name        string     `json:"name"`
		Datasource  datasource `json:"datasource"`
		Enable      bool       `json:"enable"`
		IconColor   string     `json:"iconColor"`
		Expr        string     `json:"expr"`
		Step        string     `json:"step"`
		TitleFormat string     `json:"titleFormat"`
	}
	templating struct {
		List []variable `json:"list"`
	}
	variable struct {
		Name       string      `json:"name"`
		Label      string      `json:"label"`
		Type       string      `json:"type"`
		Datasource *datasource `json:"datasource,omitempty"`
		Query      string      `json:"query"`
		Refresh    int         `json:"refresh"`
		Sort       int         `json:"sort"`
		Multi      bool        `json:"multi"`
		IncludeAll bool        `json:"includeAll"`
		AllValue   string      `json:"allValue,omitempty"`
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	panel struct {
		ID          int         `json:"id"`
		Type        string      `json:"type"`
		Title       string      `json:"title"`
		Description string      `json:"description"`
		Datasource  datasource  `json:"datasource"`
		GridPos     gridPos     `json:"gridPos"`
		Targets     []target    `json:"targets"`
		FieldConfig fieldConfig `json:"fieldConfig"`
		Options     any         `json:"options"`
	}
	gridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	target struct {
		RefID        string     `json:"refId"`
		Datasource   datasource `json:"datasource"`
		Expr         string     `json:"expr"`
		LegendFormat string     `json:"legendFormat"`
		Instant      bool       `json:"instant"`
		Range        bool       `json:"range"`
	}
	fieldConfig struct {
		Defaults  defaults `json:"defaults"`
		Overrides []string `json:"overrides"` // none
	}
	defaults struct {
		Unit       Unit       `json:"unit"`
		Min        *float64   `json:"min,omitempty"`
		Max        *float64   `json:"max,omitempty"`
		Thresholds thresholds `json:"thresholds"`
		Mappings   []mapping  `json:"mappings"`
		Custom     any        `json:"custom,omitempty"`
	}
	thresholds struct {
		Mode  string `json:"mode"`
		Steps []step `json:"steps"`
	}
	step struct {
		Color string   `json:"color"`
		Value *float64 `json:"value"`
	}
	mapping struct {
		Type    string            `json:"type"`
		Options map[string]result `json:"options"`
	}
	result struct {
		Text  string `json:"text"`
		Color string `json:"color"`
		Index int    `json:"index"`
	}
	reduce struct {
		Calcs  []string `json:"calcs"`
		Fields string   `json:"fields"`
		Values bool     `json:"values"`
	}
)

var prometheus = datasource{"prometheus", "${datasource}"}

func (d Dashboard) model() model {
	out := model{
		UID: d.UID, Title: d.Title, Description: d.Description, Tags: []string{"aura"}, SchemaVersion: schemaVersion,
		GraphTooltip: 1, Refresh: "10s", Time: timeRange{"now-1h", "now"}, Timezone: "browser",
		Links: []link{{Title: "AURA", Type: "dashboards", Tags: []string{"aura"}, IncludeVars: true, KeepTime: true}},
		Annotations: annotations{[]annotation{{
			Name: "Incidents", Datasource: prometheus, Enable: true, IconColor: "red", Step: "1m", TitleFormat: "{{type}}",
			Expr: expr("sum by (type) (increase(aura_incidents_total{$s}[1m])) > 0"),
		}}},
		Templating: templating{[]variable{
			{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus", Refresh: 1},
			{Name: "job", Label: "Deployment", Type: "query", Datasource: &prometheus, Query: "label_values(aura_build_info, job)", Refresh: 2, Sort: 1},
			{
				Name: "instance", Label: "Process", Type: "query", Datasource: &prometheus, Query: `label_values(aura_build_info{job="$job"}, instance)`,
				Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: ".+",
			},
		}},
	}
	x, y, tallest := 0, 0, 0
	for i, p := range d.Panels {
		at := p.model(i + 1)
		if x+p.Width > 24 {
			x, y, tallest = 0, y+tallest, 0
		}
		at.GridPos.X, at.GridPos.Y = x, y
		x, tallest = x+p.Width, max(tallest, at.GridPos.H)
		out.Panels = append(out.Panels, at)
	}
	return out
}

func (p Panel) model(id int) panel {
	kind, variant, _ := strings.Cut(string(p.Kind), " ")
	zero := 0.0
	out := panel{
		ID: id, Type: kind, Title: p.Title, Description: p.Description, Datasource: prometheus, GridPos: gridPos{H: 8, W: p.Width},
		FieldConfig: fieldConfig{
			Defaults:  defaults{Unit: p.Unit, Max: p.Max, Min: &zero, Thresholds: p.thresholds(), Mappings: []mapping{}},
			Overrides: []string{},
		},
	}
	figure := kind == "stat" || kind == "bargauge"
	for i, q := range p.Queries {
		out.Targets = append(out.Targets, target{
			RefID: string(rune('A' + i)), Datasource: prometheus, Expr: expr(q.Expr), LegendFormat: q.Legend, Instant: figure, Range: !figure,
		})
	}
	last := reduce{Calcs: []string{"lastNotNull"}}
	switch kind {
	case "timeseries":
		out.FieldConfig.Defaults.Custom = lines(variant == "stacked", p.Warn != nil)
		out.Options = map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		}
	case "stat":
		out.GridPos.H = 4
		text := "auto"
		if variant == "name" {
			text = "name"
		}
		out.Options = map[string]any{"reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": text, "justifyMode": "auto", "orientation": "auto"}
	case "bargauge":
		out.Options = map[string]any{"reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true}
	case "state-timeline":
		out.FieldConfig.Defaults.Mappings = []mapping{{"value", map[string]result{
			"0": {Text: "no", Color: "transparent", Index: 0}, "1": {Text: "yes", Color: "blue", Index: 1},
		}}}
		out.FieldConfig.Defaults.Custom = map[string]any{"fillOpacity": 80, "lineWidth": 0}
		out.Options = map[string]any{
			"mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
			"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": false},
		}
	}
	return out
}

func lines(stacked, line bool) map[string]any {
	out := map[string]any{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
		"stacking": map[string]any{"mode": "none", "group": "A"}, "thresholdsStyle": map[string]any{"mode": "off"},
	}
	if stacked {
		out["stacking"], out["fillOpacity"] = map[string]any{"mode": "normal", "group": "A"}, 40
	}
	if line {
		out["thresholdsStyle"] = map[string]any{"mode": "line"}
	}
	return out
}

// thresholds colour what is too much red, or what is too little.
func (p Panel) thresholds() thresholds {
	out := thresholds{Mode: "absolute", Steps: []step{{Color: "green"}}}
	switch {
	case p.Warn == nil:
	case p.Under:
		out.Steps = []step{{Color: "red"}, {Color: "green", Value: p.Warn}}
	default:
		out.Steps = append(out.Steps, step{Color: "red", Value: p.Warn})
	}
	return out
}
