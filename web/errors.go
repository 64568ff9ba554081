package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

// status of each refusal: the one place where refusals become HTTP.
var status = map[api.Code]int{
	api.Malformed:    http.StatusBadRequest,
	api.Unauthorized: http.StatusUnauthorized,
	api.Forbidden:    http.StatusForbidden,
	api.NotFound:     http.StatusNotFound,
	api.NotAllowed:   http.StatusMethodNotAllowed,
	api.Conflict:     http.StatusConflict,
	api.TooLarge:     http.StatusRequestEntityTooLarge,
	api.MediaType:    http.StatusUnsupportedMediaType,
	api.Misdirected:  http.StatusMisdirectedRequest,
	api.Invalid:      http.StatusUnprocessableEntity,
	api.Full:         http.StatusTooManyRequests,
	api.Unavailable:  http.StatusServiceUnavailable,
}

// Problem is an RFC 9457 problem, the only form of error that the server sends.
type Problem struct {
	Type    string      `json:"type" doc:"urn:aura:problem:<code>, stable."`
	Title   string      `json:"title"`
	Status  int         `json:"status"`
	Detail  string      `json:"detail,omitempty" doc:"What is wrong, for people."`
	TraceID string      `json:"trace_id,omitempty"`
	Errors  []api.Field `json:"errors,omitempty" doc:"Each field that is wrong."`

	retryAfter int
}

// Error, GetStatus, ContentType and GetHeaders make it an error that huma writes as it is.
func (p *Problem) Error() string             { return p.Title + ": " + p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// sentence says on one line what is wrong and what to do.
func (p *Problem) sentence() string {
	words := make([]string, len(p.Errors))
	for i, f := range p.Errors {
		words[i] = f.Field + " " + f.Problem
		if f.Want != "" {
			words[i] += ": " + f.Want
		}
	}
	if len(words) == 0 {
		return p.Detail
	}
	return strings.Join(words, "; ")
}

// GetHeaders returns Retry-After where there is one.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	return h
}

// problem turns an error into what the client sees, and logs what is broken. Contexts that ended are no breakage.
func problem(ctx context.Context, log *slog.Logger, err error) *Problem {
	if p := new(Problem); errors.As(err, &p) {
		return p
	}
	trace := traceOf(ctx)
	if r := api.IsRefusal(err); r != nil {
		if r.Err != nil && r.Code == api.Unavailable {
			log.WarnContext(ctx, "request refused", "code", r.Code, "error", r.Err, "trace_id", trace)
		}
		p := newProblem(r.Code, status[r.Code], r.Detail)
		p.TraceID, p.Errors = trace, r.Fields
		if s := r.RetryAfter.Seconds(); s > 0 {
			p.retryAfter = int(math.Ceil(s))
		} else if r.Code == api.Full || r.Code == api.Unavailable {
			p.retryAfter = 1
		}
		return p
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		p := newProblem(api.Unavailable, http.StatusServiceUnavailable, "not done in time; try again")
		p.TraceID, p.retryAfter = trace, 1
		return p
	}
	log.ErrorContext(ctx, "request failed", "error", err, "trace_id", trace)
	p := newProblem("internal", http.StatusInternalServerError, "something broke here; the log has the trace id")
	p.TraceID = trace
	return p
}

func newProblem(code api.Code, status int, detail string) *Problem {
	return &Problem{
		Type: "urn:aura:problem:" + string(code), Title: http.StatusText(status), Status: status, Detail: detail,
	}
}

// writeProblem answers with an error.
func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for k, v := range p.GetHeaders() {
		h[k] = v
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone; nothing is left to tell it
}

func init() {
	// huma's constructor of errors is a variable of its package: set once, before any API exists.
	huma.NewError = func(code int, detail string, errs ...error) huma.StatusError {
		return humaProblem(nil, code, detail, errs...)
	}
	huma.NewErrorWithContext = func(c huma.Context, code int, detail string, errs ...error) huma.StatusError {
		return humaProblem(c, code, detail, errs...)
	}
}

// humaProblem is a problem that huma found itself: a body or parameter that doesn't fit its schema.
func humaProblem(c huma.Context, httpStatus int, detail string, errs ...error) *Problem {
	code := api.Code("internal")
	for k, v := range status {
		if v == httpStatus {
			code = k
		}
	}
	p := newProblem(code, httpStatus, detail)
	if c != nil {
		p.TraceID = traceOf(c.Context())
	}
	for _, err := range errs {
		if d, ok := err.(huma.ErrorDetailer); ok && len(p.Errors) < maxFields {
			p.Errors = append(p.Errors, fieldOf(d.ErrorDetail()))
		}
	}
	return p
}

// maxFields bounds how many fields a problem names.
const maxFields = 100

func fieldOf(d *huma.ErrorDetail) api.Field {
	name := d.Location
	for _, prefix := range []string{"body.", "query.", "path.", "header."} {
		name = strings.TrimPrefix(name, prefix)
	}
	f := api.Field{Field: clip(name), Problem: clip(d.Message)}
	if want, ok := strings.CutPrefix(d.Message, "expected "); ok {
		f.Problem, f.Want = "invalid", clip(want)
	}
	if rest, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		n, _, _ := strings.Cut(rest, " ")
		return api.Field{Field: clip(n), Problem: "missing"} // what came is the whole body: no need to repeat it
	}
	if d.Message == "unexpected property" {
		return api.Field{Field: clip(name), Problem: "unknown"}
	}
	if d.Value != nil && d.Location != "body" {
		f.Got = clip(fmt.Sprint(d.Value))
	}
	return f
}

// clip keeps texts that came from outside short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
