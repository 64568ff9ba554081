package web

import (
	"bytes"
	"context"
	"net/http"

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
		_, err := s.options.Backend.Modes.SetMode(ctx, mode, f.change("set on the page"))
		return err
	}))
	r.Post("/actions/agents/{name}/restart", s.action("restart", func(ctx context.Context, f form) error {
		_, err := s.options.Backend.Agents.Restart(ctx, f.path("name"), f.change("restarted on the page"))
		return err
	}))
	r.Post("/actions/rollback", s.action("rollback", func(ctx context.Context, f form) error {
		_, err := s.options.Backend.Models.Rollback(ctx, f.change("rolled back on the page"))
		return err
	}))
	if faults := s.options.Backend.Faults; faults != nil {
		r.Post("/actions/faults", s.action("inject", func(ctx context.Context, f form) error {
			request := f.fault()
			if err := checkFault(request); err != nil {
				return err
			}
			_, err := faults.Inject(ctx, request)
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
	m, err := s.live.model(ctx)
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
