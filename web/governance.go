package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

func (s *Server) registerApprovals(h huma.API) {
	approvals := s.options.Backend.Approvals
	register(s, h, huma.Operation{
		OperationID: "list-approvals", Method: http.MethodGet, Path: "/api/v1/approvals",
		Summary: "Actions that wait for leave, or those decided", Tags: []string{"governance"},
	}, func(ctx context.Context, in *struct {
		PageInput
		Status string `query:"status" enum:"pending,decided" default:"pending"`
	},
	) (*listOutput[api.Approval], error) {
		list, err := approvals.Approvals(ctx, in.Status == "decided", in.Limit, in.Cursor)
		return filteredList("/api/v1/approvals", &in.PageInput, map[string][]string{"status": {in.Status}}, list), err
	})
	type decision struct {
		Decision string            `json:"decision" enum:"APPROVED,MODIFIED,DENIED"`
		Reason   reason            `json:"reason" minLength:"1" maxLength:"500" doc:"Kept with the decision."`
		Params   map[string]string `json:"params,omitempty" maxProperties:"8" doc:"With MODIFIED: shorter execute_within or verify_within (1s at least), longer dwell, as 5s."`
	}
	register(s, h, huma.Operation{
		OperationID: "decide-approval", Method: http.MethodPost, Path: "/api/v1/approvals/{id}/decision",
		Summary: "Approve an action, perhaps with narrower parameters, or deny it", Tags: []string{"governance"},
		Description: "Who decides is who holds the token, with the role approver (403 without); where no principals are set up, on loopback, everybody " +
			"is local and may. The proposer is the agent healing, so never who decides. What is decided, withdrawn or expired stays so (409). What is approved is signed and bound to exactly its parameters: MODIFIED ones may only be narrower than proposed (422).",
	}, func(ctx context.Context, in *struct {
		ID   string `path:"id" maxLength:"128"`
		Body decision
	},
	) (*struct{ Body api.Approval }, error) {
		id, err := url.PathUnescape(in.ID)
		if err != nil {
			return nil, api.Refuse(api.NotFound, "no policy request has this id")
		}
		if (in.Body.Decision == "MODIFIED") != (len(in.Body.Params) > 0) {
			return nil, api.RefuseFields(api.Field{Field: "params", Problem: "invalid", Want: "what is narrower, with MODIFIED and only with it"})
		}
		a, err := approvals.Decide(ctx, id, api.Ruling{Decision: in.Body.Decision, Params: in.Body.Params, Reason: string(in.Body.Reason)}, principalOf(ctx))
		return &struct{ Body api.Approval }{a}, err
	})
}

// slashedIDs lets the id of a policy request, which has slashes, stand in a path as it is: the router gets it escaped.
func slashedIDs(next http.Handler) http.Handler {
	const before, after = "/api/v1/approvals/", "/decision"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutPrefix(r.URL.Path, before); ok && strings.HasSuffix(id, after) {
			u := *r.URL
			u.RawPath = before + url.PathEscape(strings.TrimSuffix(id, after)) + after
			clone := *r
			clone.URL = &u
			r = &clone
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) registerHealing(h huma.API) {
	healer := s.options.Backend.Healing
	type output struct{ Body api.Healing }
	register(s, h, huma.Operation{
		OperationID: "get-healing", Method: http.MethodGet, Path: "/api/v1/healing",
		Summary: "Whether the loop heals, and who paused it", Tags: []string{"governance"},
	}, func(ctx context.Context, _ *struct{}) (*output, error) {
		state, err := healer.Healing(ctx)
		return &output{state}, err
	})
	for _, verb := range []struct {
		name, summary, description string
		do                         func(context.Context, api.Change) (api.Healing, error)
	}{
		{
			"pause", "Stop healing: no new action is begun",
			"What was executed is still verified, and undone where it doesn't hold. Incidents are still detected and recorded.", healer.Pause,
		},
		{"resume", "Let it heal again", "", healer.Resume},
	} {
		register(s, h, huma.Operation{
			OperationID: verb.name + "-healing", Method: http.MethodPost, Path: "/api/v1/healing/" + verb.name,
			Summary: verb.summary, Description: verb.description, Tags: []string{"governance"},
		}, func(ctx context.Context, in *struct{ Body reasonBody }) (*output, error) {
			state, err := verb.do(ctx, byPrincipal(ctx, in.Body.change()))
			return &output{state}, err
		})
	}
}

func (s *Server) registerRecords(h huma.API) {
	records := s.options.Backend.Records
	register(s, h, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/api/v1/audit",
		Summary: "Who changed what, latest first", Tags: []string{"audit"},
	}, func(ctx context.Context, in *struct {
		PageInput
		Subject string `query:"subject" maxLength:"200" doc:"Only about this: a setting, an incident's or action's id."`
	},
	) (*listOutput[api.AuditEntry], error) {
		list, err := records.Audit(ctx, in.Subject, in.Limit, in.Cursor)
		return filteredList("/api/v1/audit", &in.PageInput, map[string][]string{"subject": {in.Subject}}, list), err
	})
	register(s, h, huma.Operation{
		OperationID: "verify-audit", Method: http.MethodGet, Path: "/api/v1/audit/verify",
		Summary: "Recompute the audit's hash chain, and compare other tables with it", Tags: []string{"audit"},
		Description: "Names the first record that was changed or is missing, or the first row of another table that doesn't agree: settings and " +
			"their history, states of incidents, decisions with what is signed, whether actions were allowed and executed.",
		Metadata: map[string]any{"slow": true},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body api.AuditReport }, error) {
		report, err := records.VerifyAudit(ctx)
		return &struct{ Body api.AuditReport }{report}, err
	})
	type query struct {
		SQL   string `json:"sql" minLength:"1" maxLength:"20000" doc:"One SELECT."`
		Limit int    `json:"limit,omitempty" minimum:"1" maximum:"10000" default:"1000"`
	}
	register(s, h, huma.Operation{
		OperationID: "query", Method: http.MethodPost, Path: "/api/v1/query",
		Summary: "Run one read-only query on the store", Tags: []string{"audit"},
		Description: "It has a connection that can only read, and five seconds.",
	}, func(ctx context.Context, in *struct{ Body query }) (*struct{ Body api.QueryResult }, error) {
		result, err := records.Query(ctx, in.Body.SQL, in.Body.Limit)
		if result.Rows == nil {
			result.Rows = [][]any{}
		}
		return &struct{ Body api.QueryResult }{result}, err
	})
}
