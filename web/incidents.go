package web

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"aura/web/api"
	"aura/web/chart"
)

type incidentsInput struct {
	PageInput
	Status string `query:"status" enum:"OPEN,MITIGATING,RESOLVED,FAILED" doc:"Only these."`
	Type   string `query:"type" enum:"LATENCY_SLO_BREACH,PERF_DROP,DATA_DRIFT,AGENT_DOWN,BUS_DOWN" doc:"Only these."`
}

func (s *Server) registerIncidents(r chi.Router, h huma.API) {
	incidents := s.options.Backend.Incidents
	register(s, h, huma.Operation{
		OperationID: "list-incidents", Method: http.MethodGet, Path: "/api/v1/incidents",
		Summary: "Incidents, newest first", Tags: []string{"incidents"},
	}, func(ctx context.Context, in *incidentsInput) (*listOutput[api.Incident], error) {
		list, err := incidents.Incidents(ctx, api.IncidentFilter{Status: in.Status, Type: in.Type}, in.Limit, in.Cursor)
		return filteredList("/api/v1/incidents", &in.PageInput, url.Values{"status": {in.Status}, "type": {in.Type}}, list), err
	})
	register(s, h, huma.Operation{
		OperationID: "get-incident", Method: http.MethodGet, Path: "/api/v1/incidents/{id}",
		Summary: "An incident with timeline, evidence, ladder and actions", Tags: []string{"incidents"},
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64"`
	},
	) (*struct{ Body api.IncidentDetail }, error) {
		detail, err := incidents.Incident(ctx, in.ID)
		return &struct{ Body api.IncidentDetail }{detail}, err
	})
	register(s, h, huma.Operation{
		OperationID: "list-actions", Method: http.MethodGet, Path: "/api/v1/actions",
		Summary: "Actions of healing, newest first", Tags: []string{"incidents"},
	}, func(ctx context.Context, in *struct {
		PageInput
		Incident string `query:"incident_id" maxLength:"64" doc:"Only those of one incident."`
	},
	) (*listOutput[api.Action], error) {
		list, err := incidents.Actions(ctx, in.Incident, in.Limit, in.Cursor)
		return filteredList("/api/v1/actions", &in.PageInput, url.Values{"incident_id": {in.Incident}}, list), err
	})
	s.registerPerson(h)
	s.registerLearned(h)
	s.registerGraph(r, h)
}

// registerPerson adds what a person does with an incident.
func (s *Server) registerPerson(h huma.API) {
	incidents := s.options.Backend.Incidents
	type output struct{ Body api.IncidentDetail }
	for _, verb := range []struct{ name, summary, description string }{
		{
			api.VerbRetry, "Start the ladder again",
			"For an incident that a person was called for. What is not known to have ended is made sure of first; the ladder is that of the playbook now.",
		},
		{
			api.VerbEscalate, "Take an incident from the healer",
			"Nothing more is tried by itself; it is still watched, and ends when its signal is healthy. What was executed is not undone.",
		},
		{
			api.VerbClose, "End an incident that nothing else will end",
			"Only one that a person was called for, whose signal is no longer bad, and over which safe mode doesn't stand: FAILED, since nobody has shown it healthy.",
		},
	} {
		register(s, h, huma.Operation{
			OperationID: verb.name + "-incident", Method: http.MethodPost, Path: "/api/v1/incidents/{id}/" + verb.name,
			Summary: verb.summary, Description: verb.description + " What doesn't fit the incident as it is: 409.", Tags: []string{"incidents"},
		}, func(ctx context.Context, in *struct {
			ID   string `path:"id" maxLength:"64"`
			Body reasonBody
		},
		) (*output, error) {
			detail, err := incidents.Tell(ctx, in.ID, verb.name, byPrincipal(ctx, in.Body.change()))
			return &output{detail}, err
		})
	}
	type judgement struct {
		Reason   reason `json:"reason" minLength:"1" maxLength:"500" doc:"Kept with the verdict."`
		By       string `json:"by,omitempty" maxLength:"100" doc:"Who, where no principals are set up; 'local' if absent. With principals it is who holds the token."`
		Needless bool   `json:"needless" doc:"True: the incident would have ended without the action."`
		ActionID string `json:"action_id,omitempty" maxLength:"128" doc:"Absent: every executed action of the incident."`
	}
	register(s, h, huma.Operation{
		OperationID: "judge-incident", Method: http.MethodPost, Path: "/api/v1/incidents/{id}/verdict",
		Summary: "Say whether an incident's actions were needless", Tags: []string{"incidents"},
		Description: "The scoreboard counts it, and memory gives a needless action no credit. The latest verdict on an action counts.",
	}, func(ctx context.Context, in *struct {
		ID   string `path:"id" maxLength:"64"`
		Body judgement
	},
	) (*output, error) {
		detail, err := incidents.Judge(ctx, in.ID, in.Body.ActionID, in.Body.Needless, byPrincipal(ctx, reasonBody{in.Body.Reason, in.Body.By}.change()))
		return &output{detail}, err
	})
}

// registerLearned adds what past incidents taught.
func (s *Server) registerLearned(h huma.API) {
	incidents := s.options.Backend.Incidents
	type memories struct {
		Items   []api.Memory  `json:"items"`
		Ranking []api.Ranking `json:"ranking" doc:"What memory makes of the playbook, for each class of incidents that it knows."`
	}
	register(s, h, huma.Operation{
		OperationID: "list-memory", Method: http.MethodGet, Path: "/api/v1/memory",
		Summary: "What actions were worth, newest first", Tags: []string{"incidents"},
		Description: "Each line is the verified outcome of one action; they rank the playbook.",
	}, func(ctx context.Context, in *struct {
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
		Type  string `query:"type" enum:"LATENCY_SLO_BREACH,PERF_DROP,DATA_DRIFT,AGENT_DOWN,BUS_DOWN" doc:"Only of these incidents."`
	},
	) (*struct{ Body memories }, error) {
		list, err := incidents.Memories(ctx, in.Type, in.Limit)
		if err != nil {
			return nil, err
		}
		ranking, err := incidents.Ranking(ctx, in.Type)
		return &struct{ Body memories }{memories{whole(list).Body.Items, ranking}}, err
	})
	register(s, h, huma.Operation{
		OperationID: "get-scoreboard", Method: http.MethodGet, Path: "/api/v1/scoreboard",
		Summary: "How well it heals: times to recover, success, needless actions, decisions in time", Tags: []string{"incidents"},
		Description: "Each figure comes with the number it rests on; one without samples is absent.",
	}, func(ctx context.Context, in *struct {
		Window string `query:"window" default:"24h" maxLength:"32" doc:"How far back, up to 720h."`
	},
	) (*struct{ Body api.Scoreboard }, error) {
		window, err := time.ParseDuration(in.Window)
		if err != nil || window <= 0 || window > maxWindow {
			return nil, invalidDuration("window", in.Window, "a duration up to 720h, e.g. 24h")
		}
		board, err := incidents.Scoreboard(ctx, window)
		return &struct{ Body api.Scoreboard }{board}, err
	})
	register(s, h, huma.Operation{
		OperationID: "get-signals", Method: http.MethodGet, Path: "/api/v1/signals",
		Summary: "Every signal with value, threshold, n and state; drift for each feature", Tags: []string{"incidents"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.SignalReport }, error) {
		report, err := s.options.Backend.Signals.Signals(ctx)
		if report.Items == nil {
			report.Items = []api.Signal{}
		}
		return &struct{ Body api.SignalReport }{report}, err
	})
}

// maxWindow bounds how far back the scoreboard looks.
const maxWindow = 720 * time.Hour

// registerGraph serves the machine in the form that is asked for; only JSON goes through huma's schema.
func (s *Server) registerGraph(r chi.Router, h huma.API) {
	const path = "/api/v1/incidents/graph"
	r.Get(path, func(w http.ResponseWriter, r *http.Request) {
		g := s.options.Backend.Incidents.Graph()
		switch format := r.URL.Query().Get("format"); format {
		case "mermaid":
			writeText(w, "text/vnd.mermaid; charset=utf-8", g.Mermaid)
		case "dot":
			writeText(w, "text/vnd.graphviz; charset=utf-8", g.Dot)
		case "svg":
			writeText(w, "image/svg+xml", standalone(chart.States{
				Title: "The incident machine", Names: g.States, Initial: g.Initial, Final: g.Final, Arrows: arrowsOf(g),
			}.SVG()))
		case "", "json":
			writeJSON(w, http.StatusOK, g)
		default:
			s.fail(w, r, api.RefuseFields(api.Field{Field: "format", Problem: "invalid", Got: clip(format), Want: "json, mermaid, dot or svg"}))
		}
	})
	text := func() *huma.MediaType { return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}} }
	h.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "get-incident-graph", Method: http.MethodGet, Path: path, Tags: []string{"incidents"},
		Summary: "The states of an incident and what leads from one to another, drawn from the code that runs",
		Parameters: []*huma.Param{{
			Name: "format", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"json", "mermaid", "dot", "svg"}, Default: "json"},
		}},
		Responses: map[string]*huma.Response{
			"200": {Description: "The graph", Content: map[string]*huma.MediaType{
				"application/json": {Schema: h.OpenAPI().Components.Schemas.Schema(typeOf[api.Graph](), true, "Graph")},
				"text/vnd.mermaid": text(), "text/vnd.graphviz": text(), "image/svg+xml": text(),
			}},
			"default": problemResponse(h.OpenAPI().Components.Schemas),
		},
	})
}

func arrowsOf(g api.Graph) []chart.Arrow {
	out := make([]chart.Arrow, len(g.Arrows))
	for i, a := range g.Arrows {
		out[i] = chart.Arrow{From: a.From, To: a.To, Label: a.When}
		if a.Event != "" {
			out[i].Label = a.Event + ": " + a.When
		}
	}
	return out
}

// filteredList is newListOutput that keeps the filter in the link to the next page.
func filteredList[T any](path string, in *PageInput, filter url.Values, list api.List[T]) *listOutput[T] {
	out := newListOutput[T](path, nil, list)
	if list.NextCursor == "" {
		return out
	}
	q := url.Values{"limit": {strconv.Itoa(in.Limit)}, "cursor": {list.NextCursor}}
	for name, values := range filter {
		if values[0] != "" {
			q[name] = values
		}
	}
	out.Link = "<" + path + "?" + q.Encode() + `>; rel="next"`
	return out
}

func writeText(w http.ResponseWriter, mediaType, text string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}

// standalone makes a figure of the page a document of its own. Its style sheet is the page's: a file has none.
func standalone(figure string) string {
	return strings.Replace(figure, "<svg ", `<svg xmlns="http://www.w3.org/2000/svg" `, 1)
}
