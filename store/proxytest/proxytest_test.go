package proxytest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"aura/store/proxytest"
)

// echo is a server that says what it hears, until its client ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type rig struct {
	*testing.T
	p *proxytest.Proxy
}

func (r rig) dial() net.Conn {
	r.Helper()
	c, err := net.Dial("tcp", r.p.Addr())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	return c
}

func (r rig) say(c net.Conn, text string) {
	r.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		r.Fatal(err)
	}
}

// hears reads as many bytes as the text has, and says how long that took.
func (r rig) hears(c net.Conn, text string) time.Duration {
	r.Helper()
	begun := time.Now()
	_ = c.SetReadDeadline(begun.Add(10 * time.Second))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		r.Fatalf("heard %q, %v; want %q", got, err, text)
	}
	return time.Since(begun)
}

// silent fails unless nothing is heard for a while, neither bytes nor an end.
func (r rig) silent(c net.Conn) {
	r.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		r.Fatalf("heard %d bytes, %v; want silence", n, err)
	}
}

func TestProxy(t *testing.T) {
	server := echo(t)
	for name, test := range map[string]func(rig){
		"passes": func(r rig) {
			c := r.dial()
			r.say(c, "hello")
			r.hears(c, "hello")
			_ = c.(*net.TCPConn).CloseWrite()
			if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
				r.Errorf("after the end: %q, %v", rest, err)
			}
		},
		"cut": func(r rig) {
			c := r.dial()
			r.say(c, "hello")
			r.hears(c, "hello")
			r.p.Cut()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				r.Errorf("%v, want a reset", err)
			}
			if _, err := net.Dial("tcp", r.p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
				r.Errorf("%v, want a refusal", err)
			}
			r.p.Pass()
			c = r.dial()
			r.say(c, "again")
			r.hears(c, "again")
		},
		"silent": func(r rig) {
			old := r.dial()
			r.say(old, "one")
			r.hears(old, "one")
			r.p.Silence()
			r.say(old, "two")
			r.silent(old)
			young := r.dial()
			r.say(young, "three")
			r.silent(young)
			if n := r.p.Connections(); n != 2 {
				r.Errorf("%d connections", n)
			}
			r.p.Pass()
			r.say(old, "four")
			r.hears(old, "twofour")
			r.hears(young, "three")
		},
		"forgotten": func(r rig) {
			old := r.dial()
			r.say(old, "one")
			r.hears(old, "one")
			r.p.Silence()
			waiting := r.dial()
			r.p.Forget()
			r.say(old, "two")
			r.silent(old)
			r.silent(waiting)
			young := r.dial()
			r.say(young, "three")
			r.hears(young, "three")
			r.p.Pass()
			r.silent(old)
		},
		"slow": func(r rig) {
			c := r.dial()
			r.p.Slow(50*time.Millisecond, 0)
			r.say(c, "late")
			if took := r.hears(c, "late"); took < 100*time.Millisecond { // there and back
				r.Errorf("there and back in %v", took)
			}
			r.p.Slow(0, 1000)
			text := strings.Repeat("x", 200)
			r.say(c, text)
			if took := r.hears(c, text); took < 150*time.Millisecond {
				r.Errorf("200 bytes in %v", took)
			}
			r.p.Pass()
			text = strings.Repeat("y", 1<<20)
			go func() { _, _ = io.WriteString(c, text) }()
			r.hears(c, text)
		},
		"a server that is away refuses": func(r rig) {
			r.p.To("127.0.0.1:1")
			c, err := net.Dial("tcp", r.p.Addr())
			if err == nil {
				defer c.Close()
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err = c.Read(make([]byte, 1))
			}
			if !errors.Is(err, syscall.ECONNRESET) {
				r.Errorf("%v, want a reset", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.Start(t)
			p.To(server)
			test(rig{t, p})
		})
	}
}
