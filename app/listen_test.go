package app_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aura/app"
	"aura/app/cli"
)

// TestATakenAddressIsToldFirst: before anything is made or trained. Who has the address is said where it is known.
func TestATakenAddressIsToldFirst(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := settings(dir)
	cfg.HTTP.Addr = l.Addr().String()
	taken := func(by string) {
		t.Helper()
		_, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		var refused *app.Refused
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, cfg.HTTP.Addr+" is taken by "+by) {
			t.Errorf("%v, want taken by %s", err, by)
		}
	}
	taken("another program")
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data directory was left behind: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, cli.AddressFile), []byte(cfg.HTTP.Addr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken("the server that runs in " + dir)
}

// TestAFailedStartGivesTheAddressBack, whether a part can't be made or one doesn't start.
func TestAFailedStartGivesTheAddressBack(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.2:0") // where no other test takes the port meanwhile
	if err != nil {
		t.Skip("no second loopback address here: ", err)
	}
	cfg := settings(t.TempDir())
	cfg.HTTP.Addr = l.Addr().String()
	free := func(after string) {
		t.Helper()
		l, err := net.Listen("tcp", cfg.HTTP.Addr)
		if err != nil {
			t.Fatalf("after %s: %v", after, err)
		}
		l.Close()
	}
	l.Close()
	broken := cfg
	broken.Schema.File = "nowhere.yaml"
	if _, err := app.New(t.Context(), broken, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("started without a schema")
	}
	free("a part that can't be made")
	a, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", cfg.HTTP.Addr); err == nil {
		l.Close()
		t.Error("the address is free while the process starts")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Start(cancelled); err == nil {
		t.Fatal("started although cancelled")
	}
	free("a start that failed")
}
