package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"aura/web/api"
)

// public lists what needs no token: deny by default, and guard_test walks all routes to prove it. Probes of a container's platform
// have none: /readyz says yes or no to everybody, and why to who may read.
var public = map[string]bool{"/livez": true, readyPath: true}

const readyPath = "/readyz"

// guard refuses requests that a web page of another site could have made (Host and Origin) and those without the token.
//
// On loopback a request must name a loopback host: a page on evil.example whose name is made to resolve to 127.0.0.1
// (DNS rebinding) comes with its own name. On other addresses the token protects, which such a page doesn't know, and
// names are checked only if some are configured.
type guard struct {
	digest     [sha256.Size]byte // of the token
	token      bool
	principals Principals
	anyHost    bool
	hosts      map[string]bool
	origins    *http.CrossOriginProtection
	maxBytes   int64
	// rejected hears of a submission whose body is refused unread.
	rejected func()
}

func newGuard(o Options) (*guard, error) {
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("web: address %q: %w", o.Addr, err)
	}
	loopback := isLoopback(host)
	if !loopback && o.Token == "" && o.Principals == nil {
		return nil, ErrTokenRequired
	}
	g := &guard{
		digest: sha256.Sum256([]byte(o.Token)), token: o.Token != "", principals: o.Principals,
		anyHost: !loopback && len(o.Hosts) == 0,
		hosts:   map[string]bool{strings.ToLower(host): true},
		origins: http.NewCrossOriginProtection(), maxBytes: o.MaxBody,
		rejected: func() { o.Backend.Applications.Rejected(nil) },
	}
	delete(g.hosts, "")
	for _, h := range o.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	return g, nil
}

func isLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// wrap checks every request before anything else sees it.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, known := g.identify(r)
		if !known {
			r = r.WithContext(context.WithValue(r.Context(), principalKey{}, api.Principal{}))
		}
		if refusal := g.check(r, known); refusal != nil {
			if refusal.Code == api.Unauthorized {
				w.Header().Add("WWW-Authenticate", `Bearer realm="aura"`)
				if strings.Contains(r.Header.Get("Accept"), "text/html") {
					// Browsers cannot send a bearer token by themselves; they ask for a password, which is the token.
					w.Header().Add("WWW-Authenticate", `Basic realm="aura: any name, the token as password", charset="UTF-8"`)
				}
			}
			if r.URL.Path == submitPath && (refusal.Code == api.MediaType || refusal.Code == api.TooLarge) {
				g.rejected()
			}
			p := newProblem(refusal.Code, status[refusal.Code], refusal.Detail)
			p.TraceID = traceOf(r.Context())
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *guard) check(r *http.Request, known bool) *api.Refusal {
	if !g.hostAllowed(r.Host) {
		return api.Refuse(api.Misdirected, "this server doesn't answer to that host name; use its address, or configure the name")
	}
	if !known && !public[r.URL.Path] {
		return api.Refuse(api.Unauthorized, "the token is missing or wrong: Authorization: Bearer <AURA_TOKEN>")
	}
	if !allowed(r) {
		return api.Refuse(api.Forbidden, "%s may not do that; it needs the role %s", principalOf(r.Context()).Name, strings.Join(requiredRoles(r), " or "))
	}
	if !isText(r.URL) {
		return api.Refuse(api.Malformed, "the address holds a NUL, or bytes that are no UTF-8: no name of anything here does")
	}
	if isSafe(r.Method) {
		return nil
	}
	if err := g.origins.Check(r); err != nil {
		return api.Refuse(api.Forbidden, "requests from other sites may not change anything")
	}
	return g.checkMedia(r)
}

// checkMedia asks for JSON on the API, where no file belongs, and for a plain form elsewhere. A request without a body needs no type.
func (g *guard) checkMedia(r *http.Request) *api.Refusal {
	limit, want := g.maxBytes, "application/x-www-form-urlencoded"
	switch {
	case r.URL.Path == importPath:
		limit, want = maxImport, onnxMedia
	case strings.HasPrefix(r.URL.Path, "/api/"):
		want = "application/json"
	}
	if r.ContentLength > limit {
		return api.Refuse(api.TooLarge, "the body has %d bytes; at most %d", r.ContentLength, limit)
	}
	got := r.Header.Get("Content-Type")
	if got == want || r.ContentLength == 0 && got == "" {
		return nil
	}
	if media, params, err := mime.ParseMediaType(got); err == nil && media == want {
		if c := params["charset"]; c == "" || strings.EqualFold(c, "utf-8") {
			return nil
		}
	}
	return api.Refuse(api.MediaType, "Content-Type must be %s", want)
}

// isText reports whether path and query are texts that both databases can look for.
func isText(u *url.URL) bool {
	query, err := url.QueryUnescape(u.RawQuery)
	if err != nil {
		query = "" // the route says what is wrong with it
	}
	for _, s := range []string{u.Path, query} {
		if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func (g *guard) hostAllowed(hostport string) bool {
	if g.anyHost {
		return hostport != ""
	}
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return isLoopback(host) || g.hosts[strings.ToLower(host)]
}

// authorized compares digests in constant time, so that neither the token nor its length can be guessed by timing.
func (g *guard) authorized(r *http.Request) bool {
	given := givenToken(r)
	digest := sha256.Sum256([]byte(given))
	return given != "" && subtle.ConstantTimeCompare(digest[:], g.digest[:]) == 1
}

// identify finds who asks, where principals are set up. The process' own token stands for the local administrator.
func (g *guard) identify(r *http.Request) (*http.Request, bool) {
	if g.principals == nil || g.token && g.authorized(r) {
		return r, !g.token || g.authorized(r)
	}
	p, ok := g.principals.Principal(givenToken(r))
	if !ok {
		return r, false
	}
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, p)), true
}
