package web

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"aura/web/api"
	"aura/web/page"
)

func (s *Server) registerPage(r chi.Router, pages *page.Page) {
	s.live.pages = pages
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		s.showPage(w, r, http.StatusOK, page.Notice{Text: page.Done(r.URL.Query().Get("done"))})
	})
	r.Get("/live", s.livePage)
	r.Get("/assets/*", s.asset)
	r.Post("/actions/mode", s.action("mode", func(ctx context.Context, f form) error {
		mode := f.one("mode", api.ModeModel, api.ModeSafe)
		if mode == "" {
			return api.RefuseFields(api.Field{Field: "mode", Problem: "invalid", Want: "MODEL or SAFE_MODE"})
		}
		why, err := f.change()
		if err != nil {
			return err
		}
		_, err = s.options.Backend.Modes.SetMode(ctx, mode, byPrincipal(ctx, why))
		return err
	}))
	r.Post("/actions/agents/{name}/restart", s.action("restart", func(ctx context.Context, f form) error {
		why, err := f.change()
		if err != nil {
			return err
		}
		_, err = s.options.Backend.Agents.Restart(ctx, f.path("name"), byPrincipal(ctx, why))
		return err
	}))
	r.Post("/actions/rollback", s.action("rollback", func(ctx context.Context, f form) error {
		why, err := f.change()
		if err != nil {
			return err
		}
		_, err = s.options.Backend.Models.Rollback(ctx, byPrincipal(ctx, why))
		return err
	}))
	r.Get("/incidents/{id}", s.showIncident)
	r.Post("/actions/approvals", s.actionNamed(func(ctx context.Context, f form) (string, error) {
		decision := f.one("decision", "APPROVED", "DENIED")
		if decision == "" {
			return "", api.RefuseFields(api.Field{Field: "decision", Problem: "invalid", Want: "APPROVED or DENIED"})
		}
		why, err := f.change()
		if err != nil {
			return "", err
		}
		_, err = s.options.Backend.Approvals.Decide(ctx, f.values.Get("request"), api.Ruling{Decision: decision, Reason: why.Reason}, principalOf(ctx))
		return strings.ToLower(decision), err
	}))
	r.Post("/actions/incidents", s.actionNamed(func(ctx context.Context, f form) (string, error) {
		verb := f.one("verb", api.VerbRetry, api.VerbEscalate, api.VerbClose, "needless", "needed")
		id := f.values.Get("incident")
		why, err := f.change()
		if err != nil {
			return "", err
		}
		why = byPrincipal(ctx, why)
		switch verb {
		case "":
			err = api.RefuseFields(api.Field{Field: "verb", Problem: "invalid", Want: "retry, escalate, close, needless or needed"})
		case "needless", "needed":
			_, err = s.options.Backend.Incidents.Judge(ctx, id, "", verb == "needless", why)
		default:
			_, err = s.options.Backend.Incidents.Tell(ctx, id, verb, why)
		}
		return verb, err
	}))
	r.Post("/actions/healing", s.actionNamed(func(ctx context.Context, f form) (string, error) {
		verb := f.one("verb", "pause", "resume")
		why, err := f.change()
		if err != nil {
			return "", err
		}
		why = byPrincipal(ctx, why)
		switch verb {
		case "pause":
			_, err = s.options.Backend.Healing.Pause(ctx, why)
		case "resume":
			_, err = s.options.Backend.Healing.Resume(ctx, why)
		default:
			err = api.RefuseFields(api.Field{Field: "verb", Problem: "invalid", Want: "pause or resume"})
		}
		return verb, err
	}))
	if faults := s.options.Backend.Faults; faults != nil {
		r.Post("/actions/faults", s.action("inject", func(ctx context.Context, f form) error {
			request := f.fault()
			if err := checkFault(&request); err != nil {
				return err
			}
			_, err := faults.Inject(ctx, faultBy(ctx, request))
			return err
		}))
		r.Post("/actions/drill", s.action("drill", func(ctx context.Context, f form) error {
			request, ok := drillFaults[f.values.Get("drill")]
			if !ok {
				return api.RefuseFields(api.Field{Field: "drill", Problem: "unknown", Want: "one of the page's buttons"})
			}
			_, err := faults.Inject(ctx, faultBy(ctx, request))
			return err
		}))
		r.Post("/actions/faults/stop", s.action("stop", func(ctx context.Context, _ form) error {
			_, err := faults.Clear(ctx)
			return err
		}))
	}
}

// showPage answers with the page; notice says what was done or why not.
func (s *Server) showPage(w http.ResponseWriter, r *http.Request, code int, notice page.Notice) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	m, err := s.live.modelNow(ctx)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	m.Notice, m.Refresh = notice, r.URL.Query().Get("refresh") == "5"
	var buf bytes.Buffer
	if err := s.live.pages.Render(&buf, m); err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = buf.WriteTo(w)
}

// showIncident answers with the page of one incident.
func (s *Server) showIncident(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	detail, err := s.options.Backend.Incidents.Incident(ctx, chi.URLParam(r, "id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var buf bytes.Buffer
	if err := s.live.pages.RenderIncident(&buf, &page.IncidentPage{At: time.Now(), Detail: &detail}); err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = buf.WriteTo(w)
}

func (s *Server) livePage(w http.ResponseWriter, r *http.Request) {
	first, err := s.live.event(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.stream(w, r, s.live.hub, nil, &first)
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	data, mediaType, ok := s.live.pages.Asset(chi.URLParam(r, "*"))
	if !ok {
		s.fail(w, r, api.Refuse(api.NotFound, "there is no such file"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data)
}
