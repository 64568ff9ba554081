package web

import (
	"net"
	"net/http"
	"sync"
)

// freshConns are connections on which nothing was asked yet. http.Server.Shutdown waits five seconds for those, since a
// request may be on its way; clients that dial ahead would make every stop that slow.
type freshConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	close bool
}

// track is an http.Server.ConnState.
func (f *freshConns) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.close {
		_ = c.Close() // its reader notices
		return
	}
	if f.conns == nil {
		f.conns = map[net.Conn]struct{}{}
	}
	f.conns[c] = struct{}{}
}

// closeAll closes them, and those that come from now on.
func (f *freshConns) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close = true
	for c := range f.conns {
		_ = c.Close()
	}
}
