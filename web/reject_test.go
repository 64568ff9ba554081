package web

import (
	"strings"
	"testing"
)

// TestEverythingWrongIsNamedAtOnce: what web finds and what the schema finds stand in one answer.
func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	w := call(newTestServer(t, &fake{}), "POST", "/api/v1/applications", `{"application_id":7,"features":{"bad":1},"z":1}`)
	if w.Code != 422 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, field := range []string{"application_id", "z", "bad"} {
		if !strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("%s is not named in %s", field, w.Body)
		}
	}
}
