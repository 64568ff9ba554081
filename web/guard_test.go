package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
)

func TestListeningElsewhereNeedsAToken(t *testing.T) {
	for _, addr := range []string{":8080", "0.0.0.0:8080", "192.0.2.7:80", "[::]:80", "aura.example:80"} {
		if _, err := New(Options{Addr: addr, Backend: (&fake{}).backend()}); !errors.Is(err, ErrTokenRequired) {
			t.Errorf("%s without a token: %v", addr, err)
		}
		if _, err := New(Options{Addr: addr, Token: "secret", Backend: (&fake{}).backend()}); err != nil {
			t.Errorf("%s with a token: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:8080", "[::1]:8080", "127.9.9.9:1"} {
		if _, err := New(Options{Addr: addr, Backend: (&fake{}).backend()}); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestHostIsChecked(t *testing.T) {
	loopback := newTestServer(t, &fake{}, func(o *Options) { o.Hosts = []string{"Aura.Example"} })
	open := newTestServer(t, &fake{}, func(o *Options) { o.Addr, o.Token = "0.0.0.0:80", "secret" })
	named := newTestServer(t, &fake{}, func(o *Options) {
		o.Addr, o.Token, o.Hosts = "0.0.0.0:80", "secret", []string{"aura.example"}
	})
	for _, test := range []struct {
		s    *Server
		host string
		code int
	}{
		{loopback, "127.0.0.1:8080", 200},
		{loopback, "localhost", 200},
		{loopback, "LOCALHOST:9", 200},
		{loopback, "[::1]:8080", 200},
		{loopback, "127.1.2.3", 200},
		{loopback, "aura.example:8080", 200},
		{loopback, "evil.example", 421},
		{loopback, "127.0.0.1.evil.example", 421},
		{loopback, "localhost.evil.example:8080", 421},
		{loopback, "", 421},
		{loopback, "192.0.2.7", 421},
		{loopback, "0.0.0.0:8080", 421},
		{open, "anything.example", 200},
		{open, "", 421},
		{named, "aura.example", 200},
		{named, "other.example", 421},
	} {
		w := call(test.s, "GET", "/api/v1/mode", "", "Host", test.host, "Authorization", "Bearer secret")
		if w.Code != test.code {
			t.Errorf("Host %q: %d, want %d", test.host, w.Code, test.code)
		}
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []string
		code    int
	}{
		{"a program", nil, 200},
		{"the page itself", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, 200},
		{"an older browser, the page itself", []string{"Origin", "http://127.0.0.1:8080"}, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"another port of the host", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:9999"}, 403},
		{"an older browser, another site", []string{"Origin", "https://evil.example"}, 403},
		{"a sandboxed frame", []string{"Origin", "null"}, 403},
		{"a rebound name", []string{"Origin", "http://evil.example", "Host", "evil.example"}, 421},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{}
			s := newTestServer(t, f)
			w := call(s, "PUT", "/api/v1/mode", `{"mode":"SAFE_MODE","reason":"test"}`, test.headers...)
			if w.Code != test.code {
				t.Errorf("API: %d, want %d: %s", w.Code, test.code, w.Body)
			}
			form := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, test.headers...)
			code := test.code
			if code == 200 {
				code = http.StatusSeeOther
			}
			w = call(s, "POST", "/actions/mode", "mode=SAFE_MODE&reason=test", form...)
			if w.Code != code {
				t.Errorf("form: %d, want %d: %s", w.Code, code, w.Body)
			}
			if test.code != 200 && len(f.changes) > 0 {
				t.Error("something was changed")
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	for _, test := range []struct {
		path, contentType string
		code              int
	}{
		{"/api/v1/applications", "application/json", 200},
		{"/api/v1/applications", "application/json; charset=UTF-8", 200},
		{"/api/v1/applications", "application/json; charset=latin1", 415},
		{"/api/v1/applications", "text/plain", 415},
		{"/api/v1/applications", "", 415},
		{"/api/v1/applications", "application/x-www-form-urlencoded", 415},
		{"/api/v1/feedback", "text/plain", 415},
		{"/actions/faults/stop", "application/json", 415},
		{"/actions/faults/stop", "multipart/form-data; boundary=x", 415},
	} {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", test.path, goodBody, "Content-Type", test.contentType)
		if w.Code != test.code {
			t.Errorf("%s as %q: %d, want %d", test.path, test.contentType, w.Code, test.code)
		}
		if counted := f.rejected == 1; counted != (test.code == 415 && test.path == submitPath) {
			t.Errorf("%s as %q: counted as a refused application %d times", test.path, test.contentType, f.rejected)
		}
	}
}

func TestTokens(t *testing.T) {
	s := newTestServer(t, &fake{}, func(o *Options) { o.Token = "secret" })
	for _, test := range []struct {
		header string
		code   int
	}{
		{"Bearer secret", 200},
		{"bearer secret", 200},
		{"Basic YW5uOnNlY3JldA==", 200}, // ann:secret
		{"", 401},
		{"Bearer", 401},
		{"Bearer ", 401},
		{"Bearer secre", 401},
		{"Bearer secret2", 401},
		{"secret", 401},
		{"Basic YW5uOg==", 401},
		{"Basic !!!", 401},
	} {
		w := call(s, "GET", "/api/v1/mode", "", "Authorization", test.header)
		if w.Code != test.code {
			t.Errorf("%q: %d, want %d", test.header, w.Code, test.code)
		}
		if w.Code == 401 {
			decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
			if w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		}
	}
	w := call(s, "GET", "/", "", "Accept", "text/html")
	if !strings.HasPrefix(w.Header().Values("WWW-Authenticate")[1], "Basic ") {
		t.Error("a browser isn't asked for the token")
	}
}

// Every route that exists is public by the list or refuses who has no token.
func TestEveryRouteIsGuarded(t *testing.T) {
	s := newTestServer(t, &fake{}, func(o *Options) { o.Addr, o.Token = "0.0.0.0:80", "secret" })
	seen := 0
	err := chi.Walk(s.Handler().(chi.Router), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		seen++
		path := strings.NewReplacer("{id}", "f1", "{name}", "model", "{version}", "3", "*", "x").Replace(route)
		w := call(s, method, path, "")
		if public[route] {
			if w.Code != 200 {
				t.Errorf("%s %s is public and answers %d", method, route, w.Code)
			}
			return nil
		}
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a token: %d", method, route, w.Code)
		}
		return nil
	})
	if err != nil || seen < 25 {
		t.Errorf("walked %d routes: %v", seen, err)
	}
}

func TestSecureHeaders(t *testing.T) {
	s := newTestServer(t, &fake{})
	for _, path := range []string{"/", "/api/v1/mode", "/nowhere", "/assets/none"} {
		h := call(s, "GET", path, "").Header()
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}
