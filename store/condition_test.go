package store

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLookAtFile: there is none yet, it is sound while another one has it open, it is damaged.
func TestLookAtFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Look(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an empty directory: %v", err)
	}
	s := openDir(t, Options{Dir: dir})
	c, err := Look(t.Context(), Options{Dir: dir})
	if err != nil || c.Unsound != "" || c.Schema != c.Newest || c.Newest < 5 || !strings.HasPrefix(c.Version, "3.") {
		t.Errorf("%+v, %v", c, err)
	}
	closeStore(t, s)
	name := filepath.Join(dir, databaseFile)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(content) / 2; i < len(content)/2+20_000 && i < len(content); i++ {
		content[i] = 0xff
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Look(t.Context(), Options{Dir: dir}); err == nil && c.Unsound == "" {
		t.Errorf("a damaged file: %+v", c)
	}
}

func TestLookAtNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var u *Unavailable
	if _, err := Look(t.Context(), Options{Dir: t.TempDir(), URL: "postgres://a:b@" + address + "/x"}); !errors.As(err, &u) {
		t.Errorf("%v", err)
	}
	var r *Refused
	if _, err := Look(t.Context(), Options{Dir: t.TempDir(), URL: "postgres://%zz"}); !errors.As(err, &r) {
		t.Errorf("%v", err)
	}
}
