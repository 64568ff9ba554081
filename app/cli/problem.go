package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"aura/web/api"
)

// problem is the body of a refusal (RFC 9457), as the server writes it.
type problem struct {
	Title   string      `json:"title"`
	Detail  string      `json:"detail"`
	TraceID string      `json:"trace_id"`
	Errors  []api.Field `json:"errors"`
}

// codes maps a status of HTTP to the exit code and the remedy.
var codes = map[int]struct {
	exit   int
	remedy string
}{
	http.StatusBadRequest:            {ExitUsage, "correct what is named above"},
	http.StatusUnprocessableEntity:   {ExitUsage, "correct what is named above"},
	http.StatusRequestEntityTooLarge: {ExitUsage, "send less, or raise http.max_body of the server"},
	http.StatusUnauthorized:          {ExitDenied, "set AURA_TOKEN to your own token, or, where the server knows no people (governance.principals), to the one that it was started with"},
	http.StatusForbidden:             {ExitDenied, "ask whoever runs the server"},
	http.StatusMisdirectedRequest:    {ExitDenied, "use the server's address, or add the name to its http.hosts"},
	http.StatusNotFound:              {ExitPrecondition, "list what there is, with the ls command of the same kind"},
	http.StatusMethodNotAllowed:      {ExitPrecondition, "compare the versions of server and command: `aura version`"},
	http.StatusConflict:              {ExitPrecondition, "look at the present state with ls or show, then decide again"},
	http.StatusPreconditionFailed:    {ExitPrecondition, "look at the present state with ls or show, then decide again"},
	http.StatusTooManyRequests:       {ExitUnreachable, "try again later"},
	http.StatusServiceUnavailable:    {ExitUnreachable, "try again; /readyz of the server says what it waits for"},
	http.StatusBadGateway:            {ExitUnreachable, "look at what stands between here and the server"},
	http.StatusGatewayTimeout:        {ExitTimeout, "try again; /readyz of the server says what it waits for"},
}

// refused turns an answer that isn't a good one into an error that says all it says.
func (s *client) refused(response *http.Response, body []byte) error {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	var p problem
	if media != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		return Exit(codeOf(response.StatusCode), fmt.Errorf("%s (%s) answered %s, and not as an AURA server does", s.base, s.origin, response.Status),
			"see whether the address is right; --server names another")
	}
	var b strings.Builder
	b.WriteString(p.Title)
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, f := range p.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", f.Field, f.Problem)
		if f.Got != "" {
			fmt.Fprintf(&b, ", got %s", f.Got)
		}
		if f.Want != "" {
			fmt.Fprintf(&b, ", expected: %s", f.Want)
		}
	}
	remedy := codes[response.StatusCode].remedy
	if remedy == "" {
		remedy = "look into the server's log"
		if p.TraceID != "" {
			remedy += " for trace " + p.TraceID
		}
	}
	if after := response.Header.Get("Retry-After"); after != "" {
		remedy += " (in " + after + " s)"
	}
	return Exit(codeOf(response.StatusCode), errors.New(b.String()), remedy)
}

func codeOf(status int) int {
	if c, known := codes[status]; known {
		return c.exit
	}
	return ExitFailure
}
