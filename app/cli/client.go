package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aura/app/config"
)

// AddressFile is the file in the data directory that holds the address of the running server.
const AddressFile = "aura.addr"

const maxAnswer = 16 << 20

// client talks to a running server, which it looks for when it is first called: what is wrong with a command line is
// told whether or not a server runs.
type client struct {
	find    func(*client) error
	base    string // http://host:port
	origin  string // where base came from, for messages
	token   string
	timeout time.Duration
	http    *http.Client
}

// remote makes c a command that talks to a server: it adds the flags that find one.
func (i *invocation) remote(c *cobra.Command, do func(c *cobra.Command, server *client, args []string) error) *cobra.Command {
	var server string
	var timeout time.Duration
	bind(c, dataFlag)
	c.Flags().StringVar(&server, "server", "", "address of the server (default: what the data directory's "+AddressFile+" says; also AURA_SERVER)")
	c.Flags().DurationVar(&timeout, "timeout", 35*time.Second, "how long to wait for an answer")
	c.RunE = func(c *cobra.Command, args []string) error {
		if timeout <= 0 {
			return usage("take a --timeout such as 10s", "a timeout of %s", timeout)
		}
		return do(c, &client{timeout: timeout, find: func(s *client) error { return i.find(c, s, server) }}, args)
	}
	if c.ValidArgs == nil && c.ValidArgsFunction == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions // what it names is in the server
	}
	return c
}

// find locates the server.
func (i *invocation) find(c *cobra.Command, s *client, server string) error {
	origin, needs := "flag --server", []string{"http.token"}
	if server == "" {
		server, origin = i.env("AURA_SERVER"), "environment AURA_SERVER"
	}
	if server == "" {
		needs = append(needs, "data.dir", config.FlagFile)
	}
	loaded, err := i.loadFor(c, needs, dataFlag)
	if err != nil {
		return err
	}
	if server == "" {
		name := filepath.Join(loaded.Config.Data.Dir, AddressFile)
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrPermission) {
			return Exit(ExitDenied, fmt.Errorf("whether a server runs can't be told: %w", err),
				"run this as the user of the server, or name its address with --server")
		}
		if err != nil || len(bytes.TrimSpace(content)) == 0 {
			return Exit(ExitUnreachable, fmt.Errorf("no running server found: %s is not there", name),
				"start one with `aura run`, name its data directory with --data, or its address with --server")
		}
		server, origin = string(bytes.TrimSpace(content)), "file "+name
	}
	base, err := baseURL(server)
	if err != nil {
		return usage("write --server host:port or http://host:port", "%q (%s) is no address of a server: %w", server, origin, err)
	}
	// One request, one process: nothing is kept alive, and no proxy stands between us and our own server.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	if !strings.HasPrefix(origin, "file ") {
		transport.Proxy = http.ProxyFromEnvironment
	}
	s.base, s.origin, s.token = base, origin, loaded.Config.HTTP.Token
	s.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the API never redirects: whoever does shall not get the request again
	}}
	return nil
}

// loadFor reads the configuration for a command that needs a few of its keys. What is wrong with the others is told in one
// line and doesn't stand in the way of, say, pausing healing: whoever mends a file must be able to. What is wrong on the
// command line is refused.
func (i *invocation) loadFor(c *cobra.Command, needs []string, flags ...keyFlag) (config.Loaded, error) {
	loaded, err := i.load(c, flags...)
	var refused config.Errors
	if !errors.As(err, &refused) {
		return loaded, err
	}
	for _, p := range refused {
		named := p.Key == config.FlagFile || loaded.Refused(p)
		if strings.HasPrefix(p.Origin, "flag ") || named && slices.Contains(needs, p.Key) {
			return loaded, err
		}
	}
	if !i.warned {
		i.warned = true
		more := ""
		if n := len(refused) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		fmt.Fprintf(i.Err, "aura: going on without what is wrong in the configuration, `aura config validate` tests it: %s%s\n", printable(strings.Join(strings.Fields(refused[0].Error()), " ")), more)
	}
	return loaded, nil
}

// baseURL completes host:port to a URL. An address to listen on everywhere is reached on this machine.
func baseURL(server string) (string, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(strings.TrimRight(server, "/"))
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("want scheme, host and port only")
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "" || ip != nil && ip.IsUnspecified() {
		host := "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
		u.Host = net.JoinHostPort(host, u.Port())
	}
	return u.String(), nil
}

// call sends a request and returns the body of a good answer, decoded into out if that isn't nil.
func (s *client) call(ctx context.Context, method, path string, body, out any) ([]byte, error) {
	answer, _, err := s.send(ctx, method, path, body, maxAnswer)
	if err != nil {
		return nil, err
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return nil, Exit(ExitFailure, fmt.Errorf("%s answered something else than this command reads: %w", s.base, err),
				"see whether it is an AURA server of this version: `aura version`")
		}
	}
	return answer, nil
}

// file is a body that isn't JSON.
type file []byte

// locate finds the server, once.
func (s *client) locate() error {
	if s.http != nil {
		return nil
	}
	return s.find(s)
}

// send returns the body, of limit bytes at most, and the header of a good answer.
func (s *client) send(ctx context.Context, method, path string, body any, limit int64) ([]byte, http.Header, error) {
	if err := s.locate(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var content io.Reader
	media := "application/json"
	if raw, ok := body.(file); ok {
		content, media = bytes.NewReader(raw), "application/octet-stream"
	} else if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, nil, fmt.Errorf("encode the request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, content)
	if err != nil {
		return nil, nil, fmt.Errorf("make the request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", media)
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, nil, s.unreachable(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return nil, nil, s.unreachable(err)
	}
	if response.StatusCode >= 300 {
		return nil, nil, s.refused(response, answer)
	}
	return answer, response.Header, nil
}

func (s *client) unreachable(err error) error {
	var netError net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netError) && netError.Timeout():
		return Exit(ExitTimeout, fmt.Errorf("%s (%s) gave no answer within %s", s.base, s.origin, s.timeout),
			"look at its log and at /readyz; --timeout waits longer")
	}
	return Exit(ExitUnreachable, fmt.Errorf("%s (%s) can't be reached: %w", s.base, s.origin, err),
		"see whether `aura run` is still running there; --server names another address")
}
