package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"aura/web/api"
)

// submitBody is what the OpenAPI document says of a submission; parseSubmission reads it.
type submitBody struct {
	ApplicationID string         `json:"application_id,omitempty" maxLength:"200" doc:"Your id; one is given if it is absent. The same id and body again returns the same decision."`
	Features      map[string]any `json:"features" doc:"As the schema names them: numbers, texts or null."`
}

// submitPath is where applications come in.
const submitPath = "/api/v1/applications"

type recordOutput struct{ Body api.Record }

func (s *Server) registerApplications(r chi.Router, h huma.API) {
	// The hot route stays a plain handler (huma's reflection costs more than all else here) and is documented by hand.
	r.Post(submitPath, s.submit)
	doc := &huma.Operation{
		OperationID: "submit-application", Method: http.MethodPost, Path: submitPath,
		Summary: "Submit an application and wait for its decision", Tags: []string{"applications"},
		Description: "Answers 200 with the whole record, or 202 with a Location where the decision is not there yet: " +
			"on `Prefer: respond-async`, or past the deadline (2 s; `Prefer: wait=N` asks for another).",
		Parameters: []*huma.Param{
			{Name: "Prefer", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Description: "respond-async, wait=N (seconds)"},
			{Name: "traceparent", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Description: "W3C trace context"},
		},
	}
	schemas := h.OpenAPI().Components.Schemas
	body := schemas.Schema(typeOf[submitBody](), true, "Submission")
	record := schemas.Schema(typeOf[api.Record](), true, "Record")
	doc.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
	answer := func(text string) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/json": {Schema: record}}}
	}
	text := &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
	doc.Responses = map[string]*huma.Response{
		"200": answer("Decided"), "202": answer("Accepted, not decided yet"),
		"default": problemResponse(schemas),
	}
	doc.Responses["202"].Headers = map[string]*huma.Param{"Location": text}
	h.OpenAPI().AddOperation(doc)

	register(s, h, huma.Operation{
		OperationID: "get-application", Method: http.MethodGet, Path: "/api/v1/applications/{id}",
		Summary: "The whole record of an application", Tags: []string{"applications"},
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"200" doc:"AURA's or the client's id."`
	},
	) (*recordOutput, error) {
		record, err := s.options.Backend.Applications.Application(ctx, in.ID)
		return &recordOutput{record}, err
	})
	register(s, h, huma.Operation{
		OperationID: "list-decisions", Method: http.MethodGet, Path: "/api/v1/decisions",
		Summary: "Decisions, newest first", Tags: []string{"applications"},
	}, func(ctx context.Context, in *PageInput) (*listOutput[api.Record], error) {
		list, err := s.options.Backend.Applications.Decisions(ctx, in.Limit, in.Cursor)
		return newListOutput("/api/v1/decisions", in, list), err
	})
}

// bodies keeps buffers of the hot route.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	buf := bodies.Get().(*[]byte)
	body, err := readBody(r.Body, (*buf)[:0], s.options.MaxBody)
	*buf = body
	if err != nil {
		bodies.Put(buf)
		s.reject(w, r, nil, err)
		return
	}
	submission, err := parseSubmission(body) // copies what it keeps
	bodies.Put(buf)
	if err != nil {
		s.reject(w, r, submission.Features, err)
		return
	}
	submission.Wait = s.wait(r.Header.Values("Prefer"))
	submission.TraceID = traceOf(r.Context())
	// The backend bounds its waiting by Wait; the context is only the belt to these braces.
	ctx, cancel := context.WithTimeout(r.Context(), submission.Wait+s.options.RequestTimeout)
	defer cancel()
	result, err := s.options.Backend.Applications.Submit(ctx, submission)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	code := http.StatusOK
	if !result.Decided {
		code = http.StatusAccepted
		w.Header().Set("Location", "/api/v1/applications/"+url.PathEscape(result.Record.ApplicationID))
		if submission.Wait == 0 {
			w.Header().Set("Preference-Applied", "respond-async")
		}
	}
	writeJSON(w, code, &result.Record)
}

// reject answers a submission that isn't one, with all that is wrong with it.
func (s *Server) reject(w http.ResponseWriter, r *http.Request, features json.RawMessage, err error) {
	more := s.options.Backend.Applications.Rejected(features)
	if refusal := api.IsRefusal(err); refusal != nil && refusal.Code == api.Invalid && len(more) > 0 {
		err = api.RefuseFields(append(slices.Clone(refusal.Fields), more...)...)
	}
	s.fail(w, r, err)
}

// readBody reads at most limit bytes; more is a refusal, and so is a client that is too slow.
func readBody(from io.Reader, into []byte, limit int64) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := from.Read(into[len(into):min(int64(cap(into)), limit+1)])
		into = into[:len(into)+n]
		switch {
		case int64(len(into)) > limit:
			return into, api.Refuse(api.TooLarge, "the body has more than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return into, nil
		case err != nil:
			return into, api.Refuse(api.Malformed, "the body did not arrive whole")
		}
	}
}

// wait reads RFC 7240 preferences: respond-async and wait=N.
func (s *Server) wait(prefer []string) time.Duration {
	wait := s.options.DecisionWait
	for _, line := range prefer {
		for p := range strings.SplitSeq(line, ",") {
			p, _, _ = strings.Cut(p, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				return 0
			case "wait":
				if n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`)); err == nil && n >= 0 {
					wait = min(time.Duration(min(n, 3600))*time.Second, s.options.MaxDecisionWait)
				}
			}
		}
	}
	return wait
}

// writeJSON answers with a value that always marshals (the wire types do).
func writeJSON(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		writeProblem(w, newProblem("internal", http.StatusInternalServerError, "the answer could not be written"))
		return
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	w.WriteHeader(code)
	_, _ = w.Write(data) // the client may be gone; the decision stands and can be read again
}
