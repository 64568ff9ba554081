package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
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

func (f form) change(otherwise string) api.Change {
	reason := strings.TrimSpace(clip(f.values.Get("reason")))
	if reason == "" {
		reason = otherwise
	}
	return api.Change{By: "page", Reason: reason}
}

func (f form) fault() api.FaultRequest {
	r := api.FaultRequest{
		Target: clip(f.values.Get("target")), Kind: f.one("kind", "latency", "error", "crash", "hang"),
		TTL: f.values.Get("ttl"), Share: 1,
	}
	if r.Kind == "latency" {
		r.Delay = f.values.Get("delay")
	}
	return r
}

// action handles a form: it does what is asked and sends the browser back to the page, or shows the page with the
// reason why not. The guard has checked where the form came from.
func (s *Server) action(done string, do func(context.Context, form) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		if err := r.ParseForm(); err != nil {
			s.fail(w, r, api.Refuse(api.Malformed, "the form can't be read"))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), slow)
		defer cancel()
		if err := do(ctx, form{r.PostForm, chi.RouteContext(r.Context())}); err != nil {
			p := problem(ctx, s.options.Logger, err)
			s.showPage(w, r, p.Status, page.Notice{Text: p.Detail, Bad: true})
			return
		}
		http.Redirect(w, r, "/?done="+done, http.StatusSeeOther)
	}
}
