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

// listen takes the address. Errors: *Refused.
func listen(ctx context.Context, cfg config.Config) (*door, error) {
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
	if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
