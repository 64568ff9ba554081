package web

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"aura/web/api"
)

// A model comes as a file, larger than any other body, by this path and no other.
func TestImportTakesAFile(t *testing.T) {
	f := &fake{}
	s := newTestServer(t, f)
	content := strings.Repeat("\x08", 100<<10)
	const path = "/api/v1/models/import?name=gbm.onnx&columns=b,a&bad=yes&note=June&by=ann"
	w := call(s, http.MethodPost, path, content, "Content-Type", onnxMedia)
	want := api.ModelImport{Name: "gbm.onnx", Content: []byte(content), Columns: []string{"b", "a"}, Bad: "yes", Note: "June", By: "ann"}
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"challenger":true`) || !reflect.DeepEqual(f.imported, want) {
		t.Errorf("status %d: %s; imported %.200v", w.Code, w.Body, f.imported)
	}
	if w := call(s, http.MethodPost, path, "{}"); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("JSON as a model: status %d: %s", w.Code, w.Body)
	}
	if w := call(s, http.MethodPost, "/api/v1/models/3/promote", "x", "Content-Type", onnxMedia); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a file elsewhere: status %d: %s", w.Code, w.Body)
	}
	f.err = api.RefuseFields(api.Field{Field: "body", Problem: "softmax"})
	if w := call(s, http.MethodPost, path, content, "Content-Type", onnxMedia); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "softmax") {
		t.Errorf("refused: status %d: %s", w.Code, w.Body)
	}
}
