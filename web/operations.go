package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

func (s *Server) registerOperations(h huma.API) {
	operations := s.options.Backend.Operations
	register(s, h, huma.Operation{
		OperationID: "get-playbook", Method: http.MethodGet, Path: "/api/v1/playbook",
		Summary: "The playbook in force: what may be tried for each kind of incident", Tags: []string{"governance"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.Playbook }, error) {
		p, err := operations.Playbook(ctx)
		return &struct{ Body api.Playbook }{p}, err
	})
	register(s, h, huma.Operation{
		OperationID: "reload-config", Method: http.MethodPost, Path: "/api/v1/config/reload",
		Summary: "Read the configuration again", Tags: []string{"governance"},
		Description: "The process takes over playbooks, profile, rules and limits, for what begins from now on. A configuration that is " +
			"wrong is refused (422, each key named) and changes nothing. Needs the role admin.",
	}, func(ctx context.Context, in *struct{ Body reasonBody }) (*struct{ Body api.Reload }, error) {
		r, err := operations.Reload(ctx, byPrincipal(ctx, in.Body.change()))
		return &struct{ Body api.Reload }{r}, err
	})
	register(s, h, huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: "/api/v1/keys/rotate",
		Summary: "Let governance sign with a new key", Tags: []string{"governance"},
		Description: "Decisions that the old key signed and that were not executed yet execute nothing: they are asked for again, also " +
			"those of people. Needs the role admin.",
	}, func(ctx context.Context, in *struct{ Body reasonBody }) (*struct{ Body api.KeyRotation }, error) {
		k, err := operations.RotateKey(ctx, byPrincipal(ctx, in.Body.change()))
		return &struct{ Body api.KeyRotation }{k}, err
	})
}
