package web

import (
	"net/http"
	"runtime/debug"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aura/web/api"
	"aura/web/page"
)

// routes builds the one router. Everything passes the same chain, so no route can be forgotten by the guard.
func (s *Server) routes() (http.Handler, error) {
	r := chi.NewRouter()
	r.Use(s.recover, withTrace, secureHeaders, newRequestMetrics(s.options.Registerer).wrap, s.guard.wrap, s.trace, middleware.GetHead, slashedIDs)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, api.Refuse(api.NotFound, "there is no such route"))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, api.Refuse(api.NotAllowed, "the route doesn't know this method"))
	})

	config := huma.DefaultConfig("AURA", s.options.Version)
	config.Info.Description = "Decides credit applications and keeps the pipeline that does it healthy."
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	config.RejectUnknownQueryParameters = true
	// Responses are JSON only; the hot route writes its own.
	h := humachi.New(r, config)
	s.registerAgents(h)
	s.registerHealth(h)
	if s.options.Backend.Faults != nil {
		s.registerFaults(h)
	}
	if s.options.Gatherer != nil {
		r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.options.Gatherer, promhttp.HandlerOpts{
			EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: s.options.RequestTimeout,
		}))
	}
	if s.options.Bare {
		return r, nil
	}
	s.registerApplications(r, h)
	s.registerFeedback(h)
	s.registerModels(h)
	s.registerMode(h)
	s.registerIncidents(r, h)
	s.registerApprovals(h)
	s.registerHealing(h)
	s.registerRecords(h)
	s.registerOperations(h)
	s.registerEvents(r, h)
	pages, err := page.New()
	if err != nil {
		return nil, err
	}
	s.registerPage(r, pages)
	return r, nil
}

// fail answers with the problem of an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, problem(r.Context(), s.options.Logger, err))
}

// recover turns a panic into a 500; http.ErrAbortHandler keeps its meaning.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.options.Logger.ErrorContext(r.Context(), "handler panicked", "route", r.Pattern, "panic", v, "stack", string(debug.Stack()))
			writeProblem(w, newProblem("internal", http.StatusInternalServerError, "something broke here; the log has the details"))
		}()
		next.ServeHTTP(w, r)
	})
}

// secureHeaders go on every answer. The page needs no more than its own style sheet, script and event stream.
func secureHeaders(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Security-Policy"] = []string{policy}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		h["Referrer-Policy"] = []string{"no-referrer"}
		h["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
		h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
		next.ServeHTTP(w, r)
	})
}
