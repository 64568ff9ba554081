package app

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"aura/app/config"
)

// door holds the address of API and page from the very beginning: a process that can't have it ends before it has made a
// data directory or trained a model. Who connects before the server runs waits for it.
type door struct{ listener net.Listener }

// serves tells whether there is anything to be asked of this process: its API and page, or how one of several is doing.
func serves(cfg config.Config) bool { return selected(cfg, webName) || shared(cfg) }

// listen takes the address; there is none where nothing is served. Errors: *Refused.
func listen(ctx context.Context, cfg config.Config) (*door, error) {
	if !serves(cfg) {
		return &door{}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTP.Addr)
	switch {
	case err == nil:
		return &door{l}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.EADDRINUSE):
		by := "another program"
		if own, _ := os.ReadFile(addrFile(cfg.Data.Dir)); string(bytes.TrimSpace(own)) == cfg.HTTP.Addr {
			by = "the server that runs in " + cfg.Data.Dir + ", it seems"
		}
		return nil, refuse("http.addr: %s is taken by %s; choose another with --http, or let it choose one: --http 127.0.0.1:0", cfg.HTTP.Addr, by)
	}
	return nil, refuse("http.addr: %v; choose another address with --http", err)
}

// close gives the address back, if the server hasn't.
func (d *door) close(context.Context) error {
	if d.listener == nil {
		return nil
	}
	if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
