package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"aura/web/api"
)

// Principals knows who holds a token. Where there is none, whoever passes the guard is api.Local.
type Principals interface {
	// Principal returns who holds the token; false for nobody.
	Principal(token string) (api.Principal, bool)
}

type principalKey struct{}

// principalOf is who made the request, as the guard found out.
func principalOf(ctx context.Context) api.Principal {
	if p, ok := ctx.Value(principalKey{}).(api.Principal); ok {
		return p
	}
	return api.Local()
}

// byPrincipal puts the name of who asked on a change, where names are known: nobody acts under another's.
func byPrincipal(ctx context.Context, c api.Change) api.Change {
	if p, ok := ctx.Value(principalKey{}).(api.Principal); ok {
		c.By = p.Name
	}
	return c
}

// faultBy puts the name of who asked on a fault.
func faultBy(ctx context.Context, r api.FaultRequest) api.FaultRequest {
	r.By = principalOf(ctx).Name
	return r
}

// givenToken is the token of a request: a bearer's, or the password that a browser asked for.
func givenToken(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return token
	}
	return ""
}

// readers are the roles of who may look.
var readers = []string{"viewer", "operator", "approver", "admin"}

// requiredRoles are the roles of which a request needs one. Roles don't include one another. Outcomes train models, so who may
// only look posts none.
func requiredRoles(r *http.Request) []string {
	path := r.URL.Path
	switch {
	case isSafe(r.Method), path == "/api/v1/query":
		return readers
	case path == submitPath, path == "/api/v1/feedback":
		return []string{"ingest", "operator", "admin"}
	case strings.HasPrefix(path, "/api/v1/approvals/"), path == "/actions/approvals":
		return []string{"approver"}
	case strings.HasPrefix(path, "/api/v1/config/"), strings.HasPrefix(path, "/api/v1/keys/"):
		return []string{"admin"}
	}
	return []string{"operator"}
}

// allowed reports whether who asks has the role that the request needs.
func allowed(r *http.Request) bool {
	if public[r.URL.Path] {
		return true
	}
	return hasOne(r.Context(), requiredRoles(r))
}

// hasOne reports whether who asks has one of the roles. Who isn't known has none.
func hasOne(ctx context.Context, roles []string) bool {
	has := principalOf(ctx).Roles
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(has, role) })
}
