package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// start runs a server on a port of its own.
func start(t *testing.T, f *fake, change ...func(*Options)) *Server {
	t.Helper()
	s := newTestServer(t, f, append([]func(*Options){func(o *Options) { o.Addr = "127.0.0.1:0" }}, change...)...)
	run(t, s)
	return s
}

func run(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// openStream opens a stream and returns its lines.
func openStream(t *testing.T, s *Server, path string, headers ...string) (*bufio.Reader, func()) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	w, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if w.StatusCode != 200 || w.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(w.Body)
		t.Fatalf("%d: %s", w.StatusCode, body)
	}
	return bufio.NewReader(w.Body), func() { _ = w.Body.Close() }
}

// nextEvent reads up to the end of the next event that has a kind.
func nextEvent(t *testing.T, r *bufio.Reader) (kind, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		if k, ok := strings.CutPrefix(line, "event: "); ok {
			kind = k
		}
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			data = d
		}
		if line == "" && kind != "" {
			return kind, data
		}
	}
}

func TestEventsReachWhoWantsThem(t *testing.T) {
	hub := NewHub(HubOptions{})
	s := start(t, &fake{}, func(o *Options) { o.Hub = hub })
	hub.Publish("decision", 0) // nobody listens
	all, closeAll := openStream(t, s, "/api/v1/events", "Last-Event-ID", "9999\r\n"[:4])
	defer closeAll()
	some, closeSome := openStream(t, s, "/api/v1/events?kinds=mode,model")
	defer closeSome()
	hub.Publish("decision", decided("A-1"))
	hub.Publish("mode", map[string]string{"mode": "SAFE_MODE"})
	if kind, data := nextEvent(t, all); kind != "decision" || !strings.Contains(data, `"application_id":"A-1"`) {
		t.Errorf("first %s %s", kind, data)
	}
	if kind, data := nextEvent(t, all); kind != "mode" || data != `{"mode":"SAFE_MODE"}` {
		t.Errorf("second %s %s", kind, data)
	}
	if kind, _ := nextEvent(t, some); kind != "mode" {
		t.Errorf("the choosy one got %s", kind)
	}
}

// TestAStreamOfNothingIsRefused: a kind that never comes would be waited for for ever.
func TestAStreamOfNothingIsRefused(t *testing.T) {
	s := newTestServer(t, &fake{})
	for _, kinds := range []string{"foo", "mode,foo", "mode,", "gap"} {
		w := call(s, "GET", "/api/v1/events?kinds="+kinds, "")
		if w.Code != 400 || !strings.Contains(w.Body.String(), "decision, agent, mode, model, fault, incident, alert") {
			t.Errorf("%s: %d %s", kinds, w.Code, w.Body)
		}
	}
}

func TestASlowReaderMissesEventsAndIsTold(t *testing.T) {
	hub := NewHub(HubOptions{Buffer: 4})
	sub := hub.subscribe(nil)
	for i := range 10 {
		hub.Publish("decision", i)
	}
	if n := sub.dropped.Load(); n != 6 || len(sub.events) != 4 {
		t.Errorf("dropped %d, kept %d", n, len(sub.events))
	}
	hub.unsubscribe(sub)
	hub.unsubscribe(sub)
	if hub.count.Load() != 0 {
		t.Errorf("%d clients are left", hub.count.Load())
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	hub := NewHub(HubOptions{})
	s := newTestServer(t, &fake{}, func(o *Options) { o.Addr, o.Hub = "127.0.0.1:0", hub })
	s.writeLimit = 20 * time.Millisecond
	run(t, s)
	_, done := openStream(t, s, "/api/v1/events")
	defer done()
	big := strings.Repeat("x", 256<<10)
	for hub.count.Load() > 0 { // fills every buffer on the way; the test's deadline bounds this
		hub.Publish("decision", big)
		runtime.Gosched()
	}
}

func TestStreamsAreBounded(t *testing.T) {
	hub := NewHub(HubOptions{Clients: 1})
	s := start(t, &fake{}, func(o *Options) { o.Hub = hub })
	_, done := openStream(t, s, "/api/v1/events")
	defer done()
	w := call(s, "GET", "/api/v1/events", "")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
}

func TestManyStreamsComeAndGo(t *testing.T) {
	hub := NewHub(HubOptions{})
	s := start(t, &fake{}, func(o *Options) { o.Hub = hub })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			r, done := openStream(t, s, "/api/v1/events")
			defer done()
			if _, err := r.ReadString('\n'); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for hub.count.Load() > 0 { // each handler sees that its client has gone; the test's deadline bounds this
		hub.Publish("decision", 1)
		runtime.Gosched()
	}
}

func TestStopEndsStreams(t *testing.T) {
	s := start(t, &fake{})
	r, done := openStream(t, s, "/live")
	defer done()
	if kind, data := nextEvent(t, r); kind != "page" || !strings.Contains(data, `"pipeline":`) {
		t.Errorf("%s %.80s", kind, data)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error("a second stop:", err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error("the stream was cut, not ended:", err)
	}
}

// A client that sends nothing, or half a request, holds a connection for seconds, not for ever, and no one else up.
func TestASlowClientHoldsNobodyUp(t *testing.T) {
	s := start(t, &fake{})
	half, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	if _, err := io.WriteString(half, "POST /api/v1/applications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"fea"); err != nil {
		t.Fatal(err)
	}
	if w := call(s, "POST", "/api/v1/applications", goodBody); w.Code != 200 {
		t.Errorf("another client: %d", w.Code)
	}
	if s.http.ReadHeaderTimeout <= 0 || s.http.ReadTimeout <= 0 || s.http.WriteTimeout <= 0 || s.http.IdleTimeout <= 0 || s.http.MaxHeaderBytes <= 0 {
		t.Error("a limit of the server is not set")
	}
	_ = half.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(half)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), "did not arrive whole") {
		t.Errorf("half a body: %v %.200s", err, answer)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := newLimitListener(l, 1)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := dial(), dial()
	defer func() { _, _ = one.Close(), two.Close() }()
	first, err := limited.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() {
		c, err := limited.Accept()
		if err == nil {
			err = c.Close()
		}
		accepted <- err
	}()
	select {
	case <-accepted:
		t.Fatal("a second connection was accepted")
	default:
	}
	if len(limited.slots) != 1 {
		t.Errorf("%d slots are taken", len(limited.slots))
	}
	_, _ = first.Close(), first.Close() // twice must free one slot only
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := limited.Close(); err != nil {
		t.Error(err)
	}
	if _, err := limited.Accept(); err == nil {
		t.Error("accepts after its end")
	}
}

// pipeWriter is a client in synctest's time.
type pipeWriter struct {
	header http.Header
	out    chan string
}

func (p *pipeWriter) Header() http.Header { return p.header }
func (p *pipeWriter) WriteHeader(int)     {}
func (p *pipeWriter) Flush()              {}

func (p *pipeWriter) Write(b []byte) (int, error) { p.out <- string(b); return len(b), nil }

func TestAQuietStreamBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fake{})
		ctx, cancel := context.WithCancel(t.Context())
		w := &pipeWriter{http.Header{}, make(chan string, 8)}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r, _ := http.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
			s.events(w, r)
		}()
		begin := time.Now()
		if got := <-w.out; got != "retry: 2000\n\n" {
			t.Errorf("first %q", got)
		}
		if got := <-w.out; got != ": beat\n\n" || time.Since(begin) != heartbeat {
			t.Errorf("then %q after %v", got, time.Since(begin))
		}
		cancel()
		<-ended
	})
}
