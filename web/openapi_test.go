package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The document is the contract with clients: a change here is a change for them.
func TestOpenAPIIsGolden(t *testing.T) {
	w := call(newTestServer(t, &fake{}), "GET", "/openapi.json", "")
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the OpenAPI document changed; see the difference with: go test ./web -run OpenAPI -update && git diff %s", golden)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]any `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(want, &doc); err != nil {
		t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method, o := range operations {
			if o.Responses["default"] == nil {
				t.Errorf("%s %s documents no problem", method, path)
			}
		}
	}
	if doc.Paths["/api/v1/applications"]["post"].Responses["202"] == nil {
		t.Error("the hot route is not documented")
	}
}
