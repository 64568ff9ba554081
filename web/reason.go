package web

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aura/web/api"
)

// reason is why a change is made. The one check of reasons, of the API and of the page: trimmed, something is left, and a database can hold it.
type reason string

const wantReason = "why, in a few words: it is kept with the change"

// Resolve implements huma.ResolverWithPath; one that is absent or empty was refused by the schema.
func (r *reason) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	given := *r
	if *r = reason(strings.TrimSpace(string(given))); *r == "" && given != "" || strings.ContainsRune(string(given), 0) {
		return []error{&huma.ErrorDetail{Location: at.String(), Message: "expected " + wantReason}}
	}
	return nil
}

// change is who makes a change by a form, and why; a form without a reason changes nothing.
func (f form) change() (api.Change, error) {
	text := strings.TrimSpace(clip(f.values.Get("reason")))
	if text == "" || strings.ContainsRune(text, 0) {
		return api.Change{}, api.RefuseFields(api.Field{Field: "reason", Problem: "missing", Want: wantReason})
	}
	return api.Change{By: api.Local().Name, Reason: text}, nil
}
