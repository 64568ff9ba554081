// Package proxytest puts a network that fails between a client and a server of a test: a TCP proxy on loopback that can be
// cut, go silent, forget its connections, be slow, and be well again. It imports nothing of ours.
//
// What is said of connections holds for both directions of each. While the proxy is silent, up to some hundred KiB of a
// connection are under way, as in a real network; they arrive, in order, when it passes again. Ordering: Cut returns when every
// connection is reset and new ones are refused; what Pass, Silence, Forget and Slow change holds for what arrives afterwards.
// Failures end the test. Safe for use by many goroutines. Testing: TestProxy.
package proxytest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is the network.
type Proxy struct {
	t    testing.TB
	addr string

	mu       sync.Mutex
	target   string
	listener net.Listener  // nil while the network is cut
	open     chan struct{} // closed while bytes pass
	delay    time.Duration
	rate     int // bytes a second and direction, 0 for no limit
	pairs    map[*pair]bool
	running  sync.WaitGroup
	ended    bool
}

// pair is one client's connection and ours to the server.
type pair struct {
	client, server net.Conn // server is nil until bytes pass
	done           chan struct{}
	forgotten      bool
	once           sync.Once
}

// Start opens a network that passes everything to To's address. It ends with the test.
func Start(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{t: t, addr: "127.0.0.1:0", open: make(chan struct{}), pairs: map[*pair]bool{}}
	close(p.open)
	p.mu.Lock()
	p.listen()
	p.mu.Unlock()
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.Cut()
		p.running.Wait()
	})
	return p
}

// To names the server's address, for connections that are made from now on.
func (p *Proxy) To(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Addr is what clients connect to; it stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Pass is a network that is well: new connections are taken, and what waited goes on. What was forgotten stays forgotten.
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = 0, 0
	p.listen()
	p.pass()
}

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.pairs {
		c.end(true)
	}
	p.pass()
}

// Silence lets nothing pass any more and ends nothing: no reset, no end of a stream. New connections are taken and hear nothing.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold()
}

// Forget makes the connections that there are silent for good, as a firewall does that has lost its state; new ones pass.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.forgotten = true
	}
	p.pass()
}

// Slow delays all bytes and passes no more than so many a second in each direction of a connection; 0 is no delay, or no limit.
func (p *Proxy) Slow(delay time.Duration, bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = delay, bytesPerSecond
}

// Connections counts those that are open and not forgotten.
func (p *Proxy) Connections() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if !c.forgotten {
			n++
		}
	}
	return n
}

// hold lets nothing pass. mu must be held.
func (p *Proxy) hold() {
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

// pass undoes hold. mu must be held.
func (p *Proxy) pass() {
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// listen takes connections, if it doesn't yet. mu must be held.
func (p *Proxy) listen() {
	if p.listener != nil || p.ended {
		return
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Errorf("proxytest: %v", err)
		return
	}
	p.listener, p.addr = l, l.Addr().String()
	p.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			p.running.Go(func() { p.serve(l, c) })
		}
	})
}

// serve carries one connection.
func (p *Proxy) serve(l net.Listener, client net.Conn) {
	c := &pair{client: client, done: make(chan struct{})}
	p.mu.Lock()
	if p.listener != l { // it was cut meanwhile
		p.mu.Unlock()
		c.end(true)
		return
	}
	p.pairs[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
		c.end(false)
	}()
	if !p.await(c) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		c.end(true) // the server refuses, and so does who stands for it
		return
	}
	p.mu.Lock()
	c.server = server
	p.mu.Unlock()
	select {
	case <-c.done: // end didn't see the server
		_ = server.Close()
		return
	default:
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(c, client, server) })
	both.Go(func() { p.carry(c, server, client) })
	both.Wait()
}

// end closes both sides, once; abrupt is a reset.
func (c *pair) end(abrupt bool) {
	c.once.Do(func() {
		close(c.done)
		for _, side := range []net.Conn{c.client, c.server} {
			if side == nil {
				continue
			}
			if abrupt {
				_ = side.(*net.TCPConn).SetLinger(0)
			}
			_ = side.Close()
		}
	})
}

// await waits until bytes of this connection pass; false if it has ended.
func (p *Proxy) await(c *pair) bool {
	for {
		p.mu.Lock()
		open, forgotten := p.open, c.forgotten
		p.mu.Unlock()
		if forgotten {
			<-c.done
			return false
		}
		select {
		case <-open:
		case <-c.done:
			return false
		}
		p.mu.Lock()
		same := p.open == open && !c.forgotten
		p.mu.Unlock()
		if same {
			return true
		}
	}
}

// piece is bytes under way; none are the end of the stream.
type piece struct {
	bytes []byte
	at    time.Time // when it came
}

// underWay bounds the pieces under way in one direction.
const underWay = 16

// carry moves one direction, until its end has been passed on or the connection has ended.
func (p *Proxy) carry(c *pair, from, to net.Conn) {
	pieces := make(chan piece, underWay)
	p.running.Go(func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				select {
				case pieces <- piece{buffer[:n], time.Now()}:
				case <-c.done:
					return
				}
			}
			if err == nil {
				continue
			}
			if err != io.EOF && p.await(c) {
				c.end(true) // a reset is passed on as one
			}
			return
		}
	})
	for x := range pieces {
		if !p.deliver(c, to, x) {
			c.end(true)
		}
	}
	if p.await(c) {
		_ = to.(*net.TCPConn).CloseWrite()
	}
}

// tick is the time between two drops of a slow connection.
const tick = 20 * time.Millisecond

// deliver passes a piece on, as late and as slowly as the network is.
func (p *Proxy) deliver(c *pair, to net.Conn, x piece) bool {
	for len(x.bytes) > 0 {
		p.mu.Lock()
		wait, rate := time.Until(x.at.Add(p.delay)), p.rate
		p.mu.Unlock()
		n := len(x.bytes)
		if rate > 0 {
			n, wait = min(n, max(1, int(int64(rate)*int64(tick)/int64(time.Second)))), max(wait, tick)
		}
		if wait > 0 && !pause(c, wait) || !p.await(c) {
			return false
		}
		if _, err := to.Write(x.bytes[:n]); err != nil {
			return false
		}
		x.bytes = x.bytes[n:]
	}
	return true
}

func pause(c *pair, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}
