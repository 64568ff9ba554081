// Package web serves AURA's HTTP API, its live events and its page.
//
// It owns everything between a socket and the interfaces of web/api: limits on size, time and number, the guard (Host,
// Origin, token), problem+json, the OpenAPI document, server-sent events, request metrics, and the page (web/page). It
// decides nothing about applications, agents or models; those answer through api.Backend, which app provides. It
// imports web/api, web/page and no other package of ours.
//
// Start listens and returns; one goroutine accepts, one samples the overview once a second for the page, and Stop ends
// both: it ends the event streams, lets requests finish until its context ends, then closes them. Both may be called twice.
// Blocking: a POST of an application blocks until its decision or its deadline; every other request is bounded by
// Options.RequestTimeout, a stream by its client's will to read. Publish on a Hub never blocks.
//
// To test a handler use New(...).Handler() with httptest and a fake api.Backend; nothing needs a socket.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aura/agents/tracing"
	"aura/web/api"
)

// ErrTokenRequired refuses to listen on another address than loopback without a token.
var ErrTokenRequired = errors.New("web: listening on another address than loopback needs a token (AURA_TOKEN)")

// Options of a server. Zero values mean the default that is named.
type Options struct {
	// Bare leaves out all but what is asked of the process itself: health, metrics, its agents and its faults.
	Bare bool
	// Addr is where to listen, host:port; port 0 picks one. Default 127.0.0.1:8080.
	Addr string
	// Listener is Addr where the caller listens on it already; the server closes it when it is stopped, if it was started.
	Listener net.Listener
	// Token is the bearer token. If set, everything but /livez and /readyz asks for it; other addresses than loopback need one.
	Token string
	// Principals knows people by their tokens; nil = whoever passes the guard is local. With it each request needs a token.
	Principals Principals
	// Hosts are further names that requests may use in their Host header.
	Hosts []string
	// Backend answers. Every interface but Faults must be there.
	Backend api.Backend
	// Gatherer is what /metrics shows; nil = no such route. Registerer takes the server's own metrics; nil = none.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Hub carries the events of /api/v1/events. Nil makes one that nobody publishes to.
	Hub *Hub
	// Logger; nil = discard.
	Logger *slog.Logger
	// Tracer; nil = no spans.
	Tracer *tracing.Tracer
	// Version of the program, shown in the OpenAPI document.
	Version string
	// DecisionWait is how long a POST of an application waits for its decision (2 s). A client may ask for less or more
	// (Prefer: wait=N), at most MaxDecisionWait (10 s).
	DecisionWait, MaxDecisionWait time.Duration
	// RequestTimeout bounds every other request (10 s), but for changes of the champion and of the mode (30 s).
	RequestTimeout time.Duration
	// MaxBody is the largest body in bytes (65536). MaxConns is the most open connections (4096).
	MaxBody  int64
	MaxConns int
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:8080"
	}
	if o.Hub == nil {
		o.Hub = NewHub(HubOptions{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	o.DecisionWait = orDuration(o.DecisionWait, 2*time.Second)
	o.MaxDecisionWait = max(orDuration(o.MaxDecisionWait, 10*time.Second), o.DecisionWait)
	o.RequestTimeout = orDuration(o.RequestTimeout, 10*time.Second)
	if o.MaxBody <= 0 {
		o.MaxBody = 64 << 10
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 4096
	}
	return o
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Server is the HTTP server of one process.
type Server struct {
	options Options
	handler http.Handler
	guard   *guard
	live    *live
	http    *http.Server
	fresh   freshConns
	// writeLimit bounds one write to a stream.
	writeLimit time.Duration

	mu       sync.Mutex
	listener net.Listener
	failed   chan error
	stopped  bool
	done     sync.WaitGroup
	cancel   context.CancelFunc
}

// New makes a server that doesn't listen yet. It returns ErrTokenRequired, or an error that names a missing part.
func New(options Options) (*Server, error) {
	o := options.withDefaults()
	b := o.Backend
	if b.Applications == nil || b.Feedback == nil || b.Agents == nil || b.Models == nil || b.Modes == nil ||
		b.Health == nil || b.Overview == nil || b.Incidents == nil || b.Signals == nil || b.Approvals == nil || b.Healing == nil ||
		b.Records == nil {
		return nil, errors.New("web: every interface of the backend but Faults must be there")
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, guard: g, failed: make(chan error, 1), writeLimit: writeLimit}
	s.live = newLive(b, o.Logger)
	if s.handler, err = s.routes(); err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      45 * time.Second, // above every request's own deadline; streams set theirs for each write
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         s.fresh.track,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Handler serves everything; for tests and for servers of others.
func (s *Server) Handler() http.Handler { return s.handler }

// Start listens and serves in the background. An error means that nothing was started.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("web: start after stop")
	}
	if s.listener != nil {
		return nil
	}
	l, err := s.options.Listener, error(nil)
	if l == nil {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", s.options.Addr)
	}
	if err != nil {
		return fmt.Errorf("web: listen on %s: %w", s.options.Addr, err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && s.options.Token == "" && s.options.Principals == nil {
		return errors.Join(ErrTokenRequired, l.Close()) // a name that resolved to something else than it seemed
	}
	s.listener = newLimitListener(l, s.options.MaxConns)
	run, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if !s.options.Bare {
		s.done.Go(func() { s.live.run(run) })
	}
	s.done.Go(func() {
		if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("web: serve: %w", err)
		}
	})
	return nil
}

// Addr is the address that it listens on, "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Failed yields an error if serving ends for another reason than Stop.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop ends the streams, lets requests finish until ctx ends, and closes what is left.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	started := s.listener != nil
	s.stopped = true
	s.mu.Unlock()
	s.options.Hub.Close()
	s.live.hub.Close()
	if !started {
		return nil
	}
	s.fresh.closeAll()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("web: requests were cut off: %w", err), s.http.Close())
	}
	s.cancel()
	s.done.Wait()
	return err
}
