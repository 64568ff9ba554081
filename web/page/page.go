// Package page renders AURA's page: templates, style sheet, script and the figures on it.
//
// It is pure: a Model in, HTML out; it asks nobody, keeps no state after New and is safe for concurrent use. Whatever it
// shows came from outside and is escaped by html/template. It imports web/api (the views) and web/chart (SVG). The page
// works without its script; the script only replaces regions by what Regions rendered.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"mime"
	"path"
	"time"

	"aura/web/api"
)

//go:embed templates/*.html
var templates embed.FS

// Model is all that the page shows.
type Model struct {
	Overview      api.Overview
	Points        []Point
	FaultsEnabled bool
	Notice        Notice
	// Stale says that the overview is the last that could be read, and old.
	Stale bool
	// Refresh asks a browser without script to load the page again each five seconds.
	Refresh bool
}

// Point is one sample of the charts.
type Point struct {
	At      time.Time
	Decided int64
	Rate    float64 // decisions a second since the point before
	// Known is false where nothing was decided: no latency, which is not a latency of 0.
	Known        bool
	P50MS, P99MS float64
}

// Notice is one sentence on top: what was done, or (Bad) why not.
type Notice struct {
	Text string
	Bad  bool
}

// Page renders.
type Page struct {
	templates *template.Template
	assets    *assets
}

// New parses the embedded templates.
func New() (*Page, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, err
	}
	t, err := template.New("").Funcs(functions(a)).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return &Page{t, a}, nil
}

// Render writes the whole page.
func (p *Page) Render(w io.Writer, m Model) error {
	return p.templates.ExecuteTemplate(w, "page.html", newView(m))
}

// regions are the parts that the script replaces: the ids of elements and the names of templates.
var regions = []string{
	"title", "status", "figures", "pipeline", "decisions", "model", "mode", "faults",
	"incident", "incidents", "latency", "drift", "signals", "approvals", "healing", "scoreboard", "memory",
}

// RenderIncident writes the page of one incident.
func (p *Page) RenderIncident(w io.Writer, m *IncidentPage) error {
	return p.templates.ExecuteTemplate(w, "incident.html", m)
}

// Regions renders the inner HTML of each region, by id.
func (p *Page) Regions(m Model) (map[string]string, error) {
	v := newView(m)
	out := make(map[string]string, len(regions))
	var buf bytes.Buffer
	for _, name := range regions {
		buf.Reset()
		if err := p.templates.ExecuteTemplate(&buf, name, v); err != nil {
			return nil, fmt.Errorf("page: region %s: %w", name, err)
		}
		out[name] = buf.String()
	}
	return out, nil
}

// Asset returns a style sheet, script or icon by its name with digest, and its media type. It never changes.
func (p *Page) Asset(name string) (data []byte, mediaType string, ok bool) {
	data, ok = p.assets.data[name]
	return data, mime.TypeByExtension(path.Ext(name)), ok
}

// Done is the sentence for what a form did; "" for an unknown code, so that a link cannot put words on the page.
func Done(code string) string {
	return map[string]string{
		"mode": "The mode is set.", "restart": "The agent's next incarnation runs.",
		"rollback": "The previous model is in charge again.", "inject": "The fault is injected.",
		"stop": "All faults are stopped.", "drill": "The fault is injected; watch the incident.",
		"approved": "The action is approved.", "denied": "The action is denied.",
		"retry": "The ladder is tried again.", "escalate": "The incident is yours; it is still watched.", "close": "The incident is ended.",
		"needless": "The verdict is kept: needless.", "needed": "The verdict is kept: needed.",
		"pause": "Healing is paused: no new action is begun.", "resume": "Healing goes on.",
	}[code]
}
