package web

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

// reason is why a change is made.
type reason string

// sensible trims a reason. The one check of reasons, of the API and of the page: something is left, and a database can hold it.
func sensible(given string) (trimmed string, ok bool) {
	trimmed = strings.TrimSpace(given)
	return trimmed, trimmed != "" && !strings.ContainsRune(trimmed, 0)
}

const wantReason = "why, in a few words: it is kept with the change"

// Resolve implements huma.ResolverWithPath; one that is absent or empty was refused by the schema.
func (r *reason) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	if *r == "" {
		return nil
	}
	trimmed, ok := sensible(string(*r))
	if *r = reason(trimmed); !ok {
		return []error{&huma.ErrorDetail{Location: at.String(), Message: "expected " + wantReason}}
	}
	return nil
}

// change is who makes a change by a form, and why; a form without a reason changes nothing.
func (f form) change() (api.Change, error) {
	text, ok := sensible(clip(f.values.Get("reason")))
	switch {
	case text == "":
		return api.Change{}, api.RefuseFields(api.Field{Field: "reason", Problem: "missing", Want: wantReason})
	case !ok:
		return api.Change{}, api.RefuseFields(api.Field{Field: "reason", Problem: "no text", Want: wantReason})
	}
	return api.Change{By: api.Local().Name, Reason: text}, nil
}
