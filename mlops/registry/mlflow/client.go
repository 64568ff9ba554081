package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// DefaultTimeout bounds one call.
	DefaultTimeout = 10 * time.Second
	// maxAnswer bounds what is read of an answer; a page of versions is far below it.
	maxAnswer = 8 << 20
	// shown bounds how much of a server's text goes into an error.
	shown = 300
)

// Credentials are what the server asks for; a token wins over name and password, as in MLflow's own client.
type Credentials struct {
	Username, Password, Token string
}

// Client speaks MLflow's REST API.
type Client struct {
	base string
	who  Credentials
	http *http.Client
}

// NewClient makes a client of the server at address, such as http://127.0.0.1:5000. Redirects are not followed: who redirects
// shall not get credentials or models sent elsewhere.
func NewClient(address string, who Credentials, timeout time.Duration) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("mlflow: the address is no absolute http or https URL; write it whole, such as http://127.0.0.1:5000")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("mlflow: the address has a user or a query; give credentials by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN")
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{
		base: strings.TrimRight(address, "/"), who: who,
		http: &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Error is an answer of the server that isn't the one that was asked for.
type Error struct {
	Status  int    // of HTTP
	Code    string // MLflow's error_code, empty where the answer isn't one of its API
	Message string
}

func (e *Error) Error() string {
	switch {
	case e.Status == http.StatusForbidden && strings.Contains(e.Message, "Invalid Host header"):
		return "mlflow: the server refuses to be called by this name (403, DNS rebinding): start it with --allowed-hosts, or MLFLOW_SERVER_ALLOWED_HOSTS, naming host and host:port"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return fmt.Sprintf("mlflow: %d: the server refuses these credentials: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("mlflow: %d %s: %s", e.Status, e.Code, e.Message)
}

// code reports whether err is an answer with that error_code.
func code(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// api calls a method of the REST API below /api/2.0/mlflow; in is sent as JSON, or as a query where the method is GET.
func (c *Client) api(ctx context.Context, method, path string, in, out any) error {
	target := c.base + "/api/2.0/mlflow/" + path
	var body []byte
	if query, ok := in.(url.Values); ok {
		target += "?" + query.Encode()
	} else {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("mlflow: %s: %w", path, err)
		}
	}
	answer, err := c.send(ctx, method, target, "application/json", body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("mlflow: %s: the answer is no JSON of its API: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, target, mediaType string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("mlflow: %w", err)
	}
	if method != http.MethodGet {
		r.Header.Set("Content-Type", mediaType)
	}
	switch {
	case c.who.Token != "":
		r.Header.Set("Authorization", "Bearer "+c.who.Token)
	case c.who.Username != "":
		r.SetBasicAuth(c.who.Username, c.who.Password)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var u *url.Error // holds the whole address
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("mlflow: the server can't be reached: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("mlflow: read the answer: %w", err)
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("mlflow: the answer is larger than %d MiB", maxAnswer>>20)
	case answer.StatusCode != http.StatusOK:
		return nil, refusal(answer.StatusCode, text)
	}
	return text, nil
}

// refusal reads an error; unknown routes and some failures come as HTML, which is not shown.
func refusal(status int, text []byte) *Error {
	var body struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &body) == nil && body.Code != "" {
		return &Error{status, body.Code, clip(body.Message)}
	}
	if t := strings.TrimSpace(string(text)); t != "" && !strings.HasPrefix(t, "<") {
		return &Error{status, "", clip(t)}
	}
	return &Error{status, "", http.StatusText(status) + "; is it an MLflow server?"}
}

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > shown {
		return strings.ToValidUTF8(s[:shown], "") + "…"
	}
	return s
}

// Ping asks what a mirror needs to be answered: /health answers also where every other call is refused.
func (c *Client) Ping(ctx context.Context) error {
	return c.api(ctx, http.MethodPost, "experiments/search", map[string]any{"max_results": 1}, nil)
}

// Version is the server's, such as 3.17.2.
func (c *Client) Version(ctx context.Context) (string, error) {
	text, err := c.send(ctx, http.MethodGet, c.base+"/version", "", nil)
	return strings.TrimSpace(string(text)), err
}

// tag is a tag or a parameter.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// metric is a figure of a run.
type metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"` // ms since 1970
	ModelID   string  `json:"model_id,omitempty"`
}

// put writes a file below the address of an artifact folder that the server gave, mlflow-artifacts:/...
func (c *Client) put(ctx context.Context, folder, file string, content []byte) error {
	path, err := artifactPath(folder)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, http.MethodPut, c.base+"/api/2.0/mlflow-artifacts/artifacts/"+path+"/"+url.PathEscape(file), "application/octet-stream", content)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// artifactPath is the path below the server's artifact store; other stores can't be written through it.
func artifactPath(folder string) (string, error) {
	rest, ok := strings.CutPrefix(folder, "mlflow-artifacts:")
	if !ok {
		return "", fmt.Errorf("mlflow: the server keeps artifacts at %s, where only its clients can write; start it with --serve-artifacts", clip(folder))
	}
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		if _, rest, ok = strings.Cut(host, "/"); !ok {
			return "", fmt.Errorf("mlflow: the artifact address %s has no path", clip(folder))
		}
	}
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	for i, p := range parts {
		if p == "" || p == ".." {
			return "", fmt.Errorf("mlflow: the artifact address %s is no path", clip(folder))
		}
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/"), nil
}
