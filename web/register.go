package web

import (
	"cmp"
	"context"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

// slow is the deadline of operations that return only after every live agent has followed.
const slow = 30 * time.Second

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// register adds an operation with the limits that all have, and maps its errors in one place.
func register[I, O any](s *Server, h huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	timeout := s.options.RequestTimeout
	if op.Metadata["slow"] != nil {
		timeout = max(slow, timeout)
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = s.options.MaxBody
	}
	op.BodyReadTimeout = 5 * time.Second
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = problemResponse(h.OpenAPI().Components.Schemas)
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, problem(ctx, s.options.Logger, err)
		}
		return out, nil
	})
}

func problemResponse(schemas huma.Registry) *huma.Response {
	return &huma.Response{
		Description: "A problem: what is wrong and what to do",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(typeOf[Problem](), true, "Problem")},
		},
	}
}

// PageInput are the parameters of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before."`
}

type listOutput[T any] struct {
	Link string `header:"Link" doc:"rel=next, where there is a next page."`
	Body api.List[T]
}

// newListOutput makes the answer of a list: never null items, and the next page as a link too.
func newListOutput[T any](path string, in *PageInput, list api.List[T]) *listOutput[T] {
	out := &listOutput[T]{Body: list}
	if out.Body.Items == nil {
		out.Body.Items = []T{}
	}
	if in != nil && list.NextCursor != "" {
		q := url.Values{"limit": {strconv.Itoa(in.Limit)}, "cursor": {list.NextCursor}}
		out.Link = "<" + path + "?" + q.Encode() + `>; rel="next"`
	}
	return out
}

// whole is a list that has one page.
func whole[T any](items []T) *listOutput[T] {
	return newListOutput("", nil, api.List[T]{Items: items})
}

// reasonBody is the body of a change: who wants it and why, for the record.
type reasonBody struct {
	Reason reason `json:"reason" minLength:"1" maxLength:"500" doc:"Kept with the change."`
	By     string `json:"by,omitempty" maxLength:"100" doc:"Who, where no principals are set up; 'local' if absent. With principals it is who holds the token."`
}

func (b reasonBody) change() api.Change {
	return api.Change{By: cmp.Or(b.By, api.Local().Name), Reason: string(b.Reason)}
}

// invalidDuration refuses a field that is no positive duration.
func invalidDuration(field, got, want string) error {
	return api.RefuseFields(api.Field{Field: field, Problem: "invalid", Got: clip(got), Want: want})
}
