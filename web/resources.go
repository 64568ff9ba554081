package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

func (s *Server) registerFeedback(h huma.API) {
	register(s, h, huma.Operation{
		OperationID: "add-feedback", Method: http.MethodPost, Path: "/api/v1/feedback",
		Summary: "Tell what became of a loan", Tags: []string{"applications"},
		Description: "The first outcome stands. One that joins no decision is kept and counted, and is no error: `early` joins by itself " +
			"once its application is decided; `unknown`, whose application isn't here, never does, and is to be sent again when it is.",
	}, func(ctx context.Context, in *struct{ Body api.Outcome }) (*struct{ Body api.FeedbackResult }, error) {
		in.Body.ObservedAt = in.Body.ObservedAt.UTC()
		result, err := s.options.Backend.Feedback.AddFeedback(ctx, in.Body)
		return &struct{ Body api.FeedbackResult }{result}, err
	})
}

func (s *Server) registerAgents(h huma.API) {
	register(s, h, huma.Operation{
		OperationID: "list-agents", Method: http.MethodGet, Path: "/api/v1/agents",
		Summary: "Agents with state, incarnation, progress and queue", Tags: []string{"agents"},
	}, func(ctx context.Context, _ *struct{}) (*listOutput[api.Agent], error) {
		agents, err := s.options.Backend.Agents.Agents(ctx)
		return whole(agents), err
	})
	register(s, h, huma.Operation{
		OperationID: "restart-agent", Method: http.MethodPost, Path: "/api/v1/agents/{name}/restart",
		Summary: "Begin the agent's next incarnation", Tags: []string{"agents"},
		Description: "Its mailbox keeps what waits.",
	}, func(ctx context.Context, in *struct {
		Name string `path:"name" maxLength:"64"`
		Body reasonBody
	},
	) (*struct{ Body api.Agent }, error) {
		agent, err := s.options.Backend.Agents.Restart(ctx, in.Name, byPrincipal(ctx, in.Body.change()))
		return &struct{ Body api.Agent }{agent}, err
	})
}

func (s *Server) registerMode(h huma.API) {
	type output struct{ Body api.Mode }
	register(s, h, huma.Operation{
		OperationID: "get-mode", Method: http.MethodGet, Path: "/api/v1/mode",
		Summary: "Who decides: the model or the rules", Tags: []string{"mode"},
	}, func(ctx context.Context, _ *struct{}) (*output, error) {
		mode, err := s.options.Backend.Modes.Mode(ctx)
		return &output{mode}, err
	})
	type setMode struct {
		Mode   string `json:"mode" enum:"MODEL,SAFE_MODE"`
		Reason reason `json:"reason" minLength:"1" maxLength:"500"`
		By     string `json:"by,omitempty" maxLength:"100"`
	}
	register(s, h, huma.Operation{
		OperationID: "set-mode", Method: http.MethodPut, Path: "/api/v1/mode",
		Summary: "Let the rules decide, or the model again", Tags: []string{"mode"},
		Description: "Once this has answered, no decision in the old mode is written.",
		Metadata:    map[string]any{"slow": true},
	}, func(ctx context.Context, in *struct{ Body setMode }) (*output, error) {
		mode, err := s.options.Backend.Modes.SetMode(ctx, in.Body.Mode, byPrincipal(ctx, reasonBody{in.Body.Reason, in.Body.By}.change()))
		return &output{mode}, err
	})
}

func (s *Server) registerFaults(h huma.API) {
	faults := s.options.Backend.Faults
	type output struct{ Body api.Fault }
	register(s, h, huma.Operation{
		OperationID: "inject-fault", Method: http.MethodPost, Path: "/api/v1/faults", DefaultStatus: http.StatusCreated,
		Summary: "Inject a fault into an agent, the source or the model", Tags: []string{"faults"},
		Description: "It ends by itself after its ttl. Crash and hang end one incarnation and are spent, unless times says otherwise. " +
			"Faults of the source (drift, missing, stuck, unit, label-noise, label-flip) act on what the simulator or the file sends, " +
			"bad-model puts a worse version in charge until its end.",
		Metadata: map[string]any{"slow": true},
	}, func(ctx context.Context, in *struct{ Body api.FaultRequest }) (*output, error) {
		if err := checkFault(&in.Body); err != nil {
			return nil, err
		}
		fault, err := faults.Inject(ctx, faultBy(ctx, in.Body))
		return &output{fault}, err
	})
	register(s, h, huma.Operation{
		OperationID: "list-faults", Method: http.MethodGet, Path: "/api/v1/faults",
		Summary: "Active faults", Tags: []string{"faults"},
	}, func(ctx context.Context, _ *struct{}) (*listOutput[api.Fault], error) {
		list, err := faults.Faults(ctx)
		return whole(list), err
	})
	type cleared struct {
		Body struct {
			Removed int `json:"removed"`
		}
	}
	register(s, h, huma.Operation{
		OperationID: "stop-all-faults", Method: http.MethodDelete, Path: "/api/v1/faults", DefaultStatus: http.StatusOK,
		Summary: "Stop all faults", Tags: []string{"faults"},
	}, func(ctx context.Context, _ *struct{}) (*cleared, error) {
		n, err := faults.Clear(ctx)
		out := &cleared{}
		out.Body.Removed = n
		return out, err
	})
	register(s, h, huma.Operation{
		OperationID: "stop-fault", Method: http.MethodDelete, Path: "/api/v1/faults/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Stop a fault", Tags: []string{"faults"},
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64"`
	},
	) (*struct{}, error) {
		return &struct{}{}, faults.Remove(ctx, in.ID)
	})
}

// maxTTL bounds how long a fault may last.
const maxTTL = 15 * time.Minute

// faultTargets are the only targets of kinds that have one.
var faultTargets = map[string]string{
	"drift": "source", "missing": "source", "stuck": "source", "unit": "source", "label-noise": "source", "label-flip": "source",
	"bad-model": "model",
}

// checkFault checks what the schema of the body can't say, and completes the target.
func checkFault(f *api.FaultRequest) error {
	if f.Target == "" {
		f.Target = faultTargets[f.Kind]
	}
	if f.Target == "" || f.Kind == "" {
		return api.RefuseFields(api.Field{Field: "target, kind", Problem: "missing", Want: "an agent, source or model; latency, error, crash, hang, drift, missing, stuck, unit, label-noise, label-flip or bad-model"})
	}
	if ttl, err := time.ParseDuration(f.TTL); err != nil || ttl <= 0 || ttl > maxTTL {
		return invalidDuration("ttl", f.TTL, "a duration up to 15m, e.g. 60s")
	}
	if f.Kind == "latency" || f.Delay != "" {
		if delay, err := time.ParseDuration(f.Delay); err != nil || delay <= 0 || delay > maxTTL {
			return invalidDuration("delay", f.Delay, "a duration up to 15m, e.g. 2s")
		}
	}
	return nil
}
