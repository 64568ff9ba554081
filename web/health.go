package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

type readiness struct {
	Ready  bool        `json:"ready"`
	Checks []api.Check `json:"checks"`
}

func (s *Server) registerHealth(h huma.API) {
	type alive struct {
		Body struct {
			Alive bool `json:"alive"`
		}
	}
	register(s, h, huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: "/livez",
		Summary: "The process runs; depends on nothing else", Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*alive, error) {
		out := &alive{}
		out.Body.Alive = true
		return out, nil
	})
	type output struct {
		Status int
		Body   readiness
	}
	register(s, h, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: readyPath,
		Summary: "The process can take applications; 503 if not, with reasons", Tags: []string{"health"},
		Description: "It needs no token; the checks are for who may read, and empty for others.",
		Responses: map[string]*huma.Response{"503": {
			Description: "It can't: the checks say why",
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: h.OpenAPI().Components.Schemas.Schema(typeOf[readiness](), true, "Readiness"),
			}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*output, error) {
		out := &output{Status: http.StatusOK, Body: readiness{Ready: true, Checks: s.options.Backend.Health.Ready(ctx)}}
		if out.Body.Checks == nil {
			out.Body.Checks = []api.Check{}
		}
		for _, c := range out.Body.Checks {
			if !c.OK {
				out.Status, out.Body.Ready = http.StatusServiceUnavailable, false
			}
		}
		if !hasOne(ctx, readers) {
			out.Body.Checks = []api.Check{}
		}
		return out, nil
	})
}
