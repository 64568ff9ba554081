package web

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"aura/web/api"
)

// Ten thousand broken bodies are each refused with a problem, reach no agent, and leave the server as it was.
func TestTenThousandMalformedBodies(t *testing.T) {
	f := &fake{keep: true}
	s := newTestServer(t, f)
	const seed = 20261125
	random := rand.New(rand.NewPCG(seed, 1))
	alphabet := []byte("{}[]\",:\\ \n\x00\xff0123456789.eE+-truefalsnNaI")
	valid := 0
	for i := range 10_000 {
		body := mutate(random, []byte(goodBody), alphabet)
		_, err := parseSubmission(body)
		if err == nil {
			valid++ // a mutation that changed only a value
			continue
		}
		r := httptest.NewRequest("POST", "/api/v1/applications", bytes.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest && w.Code != http.StatusUnprocessableEntity {
			t.Fatalf("seed %d, body %d: %d for %q: %s", seed, i, w.Code, body, w.Body)
		}
		decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
	}
	if len(f.submissions) > 0 {
		t.Errorf("%d reached the backend", len(f.submissions))
	}
	if valid > 5000 {
		t.Errorf("only %d bodies were malformed", 10_000-valid)
	}
	if w := call(s, "POST", "/api/v1/applications", goodBody); w.Code != 200 {
		t.Errorf("afterwards a good one gets %d", w.Code)
	}
}

// mutate breaks a body in one to eight places.
func mutate(random *rand.Rand, body, alphabet []byte) []byte {
	for range 1 + random.IntN(8) {
		i := random.IntN(len(body))
		switch random.IntN(4) {
		case 0:
			body[i] = alphabet[random.IntN(len(alphabet))]
		case 1:
			body = append(body[:i], body[i+1:]...)
		case 2:
			body = append(body[:i], append([]byte{alphabet[random.IntN(len(alphabet))]}, body[i:]...)...)
		case 3:
			body = body[:max(1, i)]
		}
		if len(body) == 0 {
			body = []byte{' '}
		}
	}
	return body
}

// FuzzSubmission: whatever comes, the parser returns, and what it accepts is what a plain JSON reader sees.
func FuzzSubmission(f *testing.F) {
	for _, body := range []string{
		goodBody, `{}`, `{"features":{}}`, `{"features":{"a":[1,{"b":"}"}],"c":"\"{"},"application_id":"x"}`, ` { "features" : { } , "application_id" : "\u00fc" } `,
		`{"features":{},"features":{}}`, `[`, `"`, `{"a":1e5}`, "\xff", `{"features":{"x":1},"application_id":"a/b"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSubmission(body)
		if err != nil {
			if api.IsRefusal(err) == nil {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		var plain struct {
			ID       string          `json:"application_id"`
			Features json.RawMessage `json:"features"`
		}
		if err := json.Unmarshal(body, &plain); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if plain.ID != s.ApplicationID || !bytes.Equal(plain.Features, s.Features) {
			t.Fatalf("read %q %s, want %q %s", s.ApplicationID, s.Features, plain.ID, plain.Features)
		}
		if !json.Valid(s.Features) || s.Features[0] != '{' || !utf8.ValidString(s.ApplicationID) || len(s.ApplicationID) > maxID {
			t.Fatalf("accepted %q %s", s.ApplicationID, s.Features)
		}
	})
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")
	f.Fuzz(func(t *testing.T, h string) {
		if id := parseTraceparent(h); id != "" && (len(id) != 32 || !isHex(id) || id != h[3:35]) {
			t.Fatalf("%q from %q", id, h)
		}
	})
}

func TestTraceparent(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	for h, want := range map[string]string{
		"00-" + id + "-b7ad6b7169203331-01":                       id,
		"cc-" + id + "-b7ad6b7169203331-01-what":                  id,
		"00-" + id + "-b7ad6b7169203331-01-what":                  "",
		"ff-" + id + "-b7ad6b7169203331-01":                       "",
		"00-" + id + "-0000000000000000-01":                       "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": "",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01": "",
		"": "", "00": "",
	} {
		if got := parseTraceparent(h); got != want {
			t.Errorf("%q: %q, want %q", h, got, want)
		}
	}
	if a, b := newTraceID(), newTraceID(); a == b || len(a) != 32 || !isHex(a) {
		t.Errorf("new ids %q, %q", a, b)
	}
}

func BenchmarkSubmit(b *testing.B) {
	s := newTestServer(b, &fake{})
	body := []byte(goodBody)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseSubmission(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest("POST", "/api/v1/applications", bytes.NewReader(body))
			r.Host = "localhost"
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if s.Handler().ServeHTTP(w, r); w.Code != 200 {
				b.Fatal(w.Code)
			}
		}
	})
}

// BenchmarkSocket is the hot route over real connections, 32 clients, answered by a fake.
func BenchmarkSocket(b *testing.B) {
	s := newTestServer(b, &fake{}, func(o *Options) { o.Addr = "127.0.0.1:0" })
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	client := &http.Client{Transport: transport}
	defer func() {
		transport.CloseIdleConnections()
		if err := s.Stop(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	url := "http://" + s.Addr() + "/api/v1/applications"
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			w, err := client.Post(url, "application/json", bytes.NewReader([]byte(goodBody)))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, w.Body)
			_ = w.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
