package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"aura/web/api"
	"aura/web/page"
)

// form is a form of the page as it came.
type form struct {
	values url.Values
	route  *chi.Context
}

// one returns a field that must be one of the choices; anything else is "" and refused by who gets it.
func (f form) one(name string, choices ...string) string {
	if v := f.values.Get(name); slices.Contains(choices, v) {
		return v
	}
	return ""
}

func (f form) path(name string) string {
	v := f.route.URLParam(name)
	if u, err := url.PathUnescape(v); err == nil {
		return u
	}
	return v
}

func (f form) fault() api.FaultRequest {
	r := api.FaultRequest{
		Target: clip(f.values.Get("target")), Kind: f.one("kind", slices.Concat([]string{"latency", "error", "crash", "hang"}, sourceKinds)...),
		TTL: f.values.Get("ttl"), Share: 1,
	}
	switch {
	case r.Kind == "latency":
		r.Delay = f.values.Get("delay")
	case slices.Contains(sourceKinds, r.Kind):
		f.complete(&r)
	}
	return r
}

// sourceKinds are the faults of what comes in, and of the model.
var sourceKinds = []string{"drift", "missing", "stuck", "unit", "label-noise", "label-flip", "bad-model"}

// complete completes a fault of the source from the form's one field for a value; what is missing or wrong is refused by
// who injects it.
func (f form) complete(r *api.FaultRequest) {
	r.Target = ""
	text := strings.TrimSpace(clip(f.values.Get("value")))
	number, err := strconv.ParseFloat(text, 64)
	if slices.Contains([]string{"drift", "missing", "stuck", "unit"}, r.Kind) {
		r.Feature = clip(f.values.Get("feature"))
	}
	switch {
	case text == "":
	case (r.Kind == "drift" || r.Kind == "stuck") && err != nil:
		r.Category = text
	case r.Kind == "drift":
		r.Mean = &number
	case r.Kind == "stuck":
		r.Value = &number
	case r.Kind == "unit":
		r.Factor = number
	case r.Kind == "missing" || r.Kind == "label-noise":
		r.Share = number // 0 where it is no number
	}
}

// drillFaults are what the page's buttons inject.
var drillFaults = map[string]api.FaultRequest{
	"latency":     {Kind: "latency", Target: "model", Delay: "2s", Share: 1, TTL: "30s"},
	"crash":       {Kind: "crash", Target: "model", Share: 1, TTL: "30s"},
	"hang":        {Kind: "hang", Target: "model", Share: 1, TTL: "30s"},
	"drift":       {Kind: "drift", Target: "source", Share: 1, TTL: "3m", FaultChange: api.FaultChange{Feature: "credit_score", Mean: mean(550)}},
	"unit":        {Kind: "unit", Target: "source", Share: 1, TTL: "2m", FaultChange: api.FaultChange{Feature: "income", Factor: 1.0 / 12}},
	"stuck":       {Kind: "stuck", Target: "source", Share: 1, TTL: "2m", FaultChange: api.FaultChange{Feature: "credit_score", Value: mean(700)}},
	"label-noise": {Kind: "label-noise", Target: "source", Share: .4, TTL: "5m"},
	"label-flip":  {Kind: "label-flip", Target: "source", Share: 1, TTL: "1m"},
	"bad-model":   {Kind: "bad-model", Target: "model", Share: 1, TTL: "5m"},
}

func mean(v float64) *float64 { return &v }

// action handles a form that has one ending.
func (s *Server) action(done string, do func(context.Context, form) error) http.HandlerFunc {
	return s.actionNamed(func(ctx context.Context, f form) (string, error) { return done, do(ctx, f) })
}

// actionNamed handles a form: it does what is asked and sends the browser back to the page, or shows the page with the
// reason why not. The guard has checked where the form came from.
func (s *Server) actionNamed(do func(context.Context, form) (done string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		if err := r.ParseForm(); err != nil {
			s.fail(w, r, api.Refuse(api.Malformed, "the form can't be read"))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), slow)
		defer cancel()
		done, err := do(ctx, form{r.PostForm, chi.RouteContext(r.Context())})
		if err != nil {
			p := problem(ctx, s.options.Logger, err)
			s.showPage(w, r, p.Status, page.Notice{Text: p.sentence(), Bad: true})
			return
		}
		http.Redirect(w, r, "/?done="+done, http.StatusSeeOther)
	}
}
