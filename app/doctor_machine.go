package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"aura/app/doctor"
	"aura/store"
)

const (
	// roomLeast is how much room a data directory needs, roomWanted how much it should have.
	roomLeast, roomWanted = 100 << 20, 1 << 30
	// syncSlow is a sync that leaves an application undecided for longer than people like.
	syncSlow = 20.0 // ms
)

func (p prober) directory(context.Context) doctor.Finding {
	dir := p.cfg.Data.Dir
	info, err := os.Stat(dir)
	missing := errors.Is(err, os.ErrNotExist)
	at := dir
	for missing && at != filepath.Dir(at) { // where it would be made
		if at = filepath.Dir(at); exists(at) {
			break
		}
	}
	switch {
	case err != nil && !missing:
		return doctor.Bad("give this user the right to read it, or name another one with --data", "%v", err)
	case err == nil && !info.IsDir():
		return doctor.Bad("name a directory with --data", "%s is a file", dir)
	}
	probe, err := os.MkdirTemp(at, ".aura-doctor-")
	if err != nil {
		return doctor.Bad("give this user the right to write there, or name another one with --data", "%v", err)
	}
	p50, _, err := fsyncTimes(probe)
	if err = errors.Join(err, os.RemoveAll(probe)); err != nil {
		return doctor.Bad("make room, or look at the disk", "%v", err)
	}
	free, err := room(at)
	switch {
	case err != nil:
		return doctor.Bad("look at the disk", "%v", err)
	case free < roomLeast:
		return doctor.Bad("make room: a full disk stops intake", "%s has %d MiB left", dir, free>>20)
	case free < roomWanted:
		return doctor.Risk("make room soon", "%s has %d MiB left", dir, free>>20)
	case p50 > syncSlow:
		return doctor.Risk("each commit waits for a sync: take another disk", "a sync in %s takes %.1f ms", dir, p50)
	case missing:
		return doctor.Good("%s is made by the first start; %d GiB left, a sync takes %.1f ms", dir, free>>30, p50)
	}
	return doctor.Good("%s: %d GiB left, a sync takes %.1f ms", dir, free>>30, p50)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// server asks the one that runs on this data directory, or whether one could.
func (p prober) server(ctx context.Context) doctor.Finding {
	raw, err := os.ReadFile(addrFile(p.cfg.Data.Dir))
	if errors.Is(err, fs.ErrPermission) {
		return doctor.Bad("run this as the user of the server", "whether one runs can't be told: %v", err)
	}
	if err == nil {
		address := strings.TrimSpace(string(raw))
		var ready struct {
			Checks []struct {
				Name, Reason string
				OK           bool
			}
		}
		status, err := p.get(ctx, "http://"+address+"/readyz", p.cfg.HTTP.Token, &ready)
		switch {
		case err != nil && status == 0 && p.held():
			return doctor.Bad("it hangs, is stopped, or is just starting: see its log; kill -QUIT shows where it is", "a process holds %s and doesn't answer at %s: %v", p.cfg.Data.Dir, address, err)
		case err != nil && status == 0:
			// Its process was killed; a start takes its place.
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			return doctor.Risk("give the doctor a token, by AURA_TOKEN", "the server at %s answers, but not without a token (%d)", address, status)
		case err != nil && status != http.StatusServiceUnavailable:
			return doctor.Bad("see its log", "the server at %s answers /readyz with %d", address, status)
		default:
			for _, c := range ready.Checks {
				if !c.OK {
					return doctor.Bad("see its log and its page", "the server at %s is not ready: %s: %s", address, c.Name, c.Reason)
				}
			}
			return doctor.Good("runs at %s and is ready", address)
		}
	}
	if p.held() {
		return doctor.Bad("it hangs, is stopped, or is just starting: see its log", "a process holds %s, and has left no address there", p.cfg.Data.Dir)
	}
	l, err := net.Listen("tcp", p.cfg.HTTP.Addr)
	if err != nil {
		return doctor.Bad("take another address (--http 127.0.0.1:0 picks a free port), or stop who has it", "none runs here, and %s can't be taken: %v", p.cfg.HTTP.Addr, err)
	}
	if err := l.Close(); err != nil {
		return doctor.Bad("", "%v", err)
	}
	return doctor.Good("none runs here; %s is free", p.cfg.HTTP.Addr)
}

// held reports whether a process has the data directory.
func (p prober) held() bool {
	held, err := store.Held(p.cfg.Data.Dir)
	return held && err == nil
}

// get reads a JSON answer. An answer that isn't 200 is an error, and read all the same. token, if not empty, goes to that address.
func (p prober) get(ctx context.Context, address, token string, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := p.web.Do(r)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(a.Body, maxProbed))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if a.StatusCode != http.StatusOK {
		return a.StatusCode, fmt.Errorf("status %d", a.StatusCode)
	}
	return a.StatusCode, err
}
