package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aura/app/config"
	"aura/web/api"
)

func TestExportFromAServer(t *testing.T) {
	const content = "\x08\x08onnx"
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		w.Header().Set("Aura-Model-Version", "3")
		w.Header().Set("Aura-Model-Digest", "abc")
		_, _ = io.WriteString(w, content)
	}))
	defer server.Close()
	name := filepath.Join(t.TempDir(), "m.onnx")
	for _, c := range []struct {
		args []string
		path string
		out  string
		file bool
	}{
		{[]string{"-o", name}, "champion", "version  3", true},
		{[]string{"v3", "-o", name, "-o", "json"}, "3", `"digest": "abc"`, true},
		{[]string{"3", "--output", "-"}, "3", content, false},
	} {
		asked = nil
		_ = os.Remove(name)
		o := try(t, Commands{}, nil, append([]string{"model", "export", "--server", server.URL}, c.args...)...)
		if o.code != 0 || !strings.Contains(o.out, c.out) || strings.Join(asked, " ") != "GET /api/v1/models/"+c.path+"/onnx" {
			t.Errorf("%v: exit %d, asked %q: %s%s", c.args, o.code, asked, o.out, o.err)
		}
		if got, err := os.ReadFile(name); c.file && string(got) != content {
			t.Errorf("%v: wrote %q, %v", c.args, got, err)
		}
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "-o champion.onnx", nil},
		{2, "no version", []string{"three", "-o", name}},
		{1, "directory that is there", []string{"-o", filepath.Join(name, "no", "m.onnx")}},
	} {
		if o := try(t, Commands{}, nil, append([]string{"model", "export", "--server", server.URL}, c.args...)...); o.code != c.code || !strings.Contains(o.err, c.want) {
			t.Errorf("%v: exit %d: %s", c.args, o.code, o.err)
		}
	}
}

func TestExportWhatIsNoModel(t *testing.T) {
	url, _ := answering(t, 200, "text/html", "<html>")
	name := filepath.Join(t.TempDir(), "m.onnx")
	if o := try(t, Commands{}, nil, "model", "export", "--server", url, "-o", name); o.code != ExitFailure || !strings.Contains(o.err, "something else") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("a file was written")
	}
	url, _ = answering(t, 404, "application/problem+json", `{"status":404,"detail":"there is no version 9"}`)
	if o := try(t, Commands{}, nil, "model", "export", "9", "--server", url, "-o", name); o.code != ExitPrecondition || !strings.Contains(o.err, "no version 9") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

func TestExportWithoutAServer(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "m.onnx")
	asked := -1
	commands := Commands{ExportModel: func(_ context.Context, c config.Config, version int) (api.ModelFile, error) {
		asked = version
		if c.Data.Dir != dir || c.Schema.File != "s.yaml" {
			t.Errorf("directory %s, schema %s", c.Data.Dir, c.Schema.File)
		}
		return api.ModelFile{Version: 2, Content: []byte("x")}, nil
	}}
	if o := try(t, commands, nil, "model", "export", "--data", dir, "--schema", "s.yaml", "-o", name); o.code != 0 || asked != 0 {
		t.Errorf("exit %d, asked for %d: %s", o.code, asked, o.err)
	}
	if got, _ := os.ReadFile(name); string(got) != "x" {
		t.Errorf("wrote %q", got)
	}
}

func TestImport(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gbm.onnx")
	if err := os.WriteFile(name, []byte("onnx"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got ImportRequest
	result := api.Imported{
		Version: 4, Champion: 1, Verdict: "PROMOTE", Reason: "it is better", Challenger: true,
		Checks: []api.GateCheck{{Name: "AUC", OK: true}, {Name: "Brier", Value: 0.2, Limit: 0.1}, {Name: "PSI", Info: "outweighed"}},
	}
	var failed error
	commands := Commands{ImportModel: func(_ context.Context, _ config.Config, r ImportRequest) (api.Imported, error) {
		got = r
		return result, failed
	}}
	o := try(t, commands, nil, "model", "import", name, "--columns", "b,a", "--bad", "yes", "--rows", "r.csv", "--note", "June")
	if o.code != 0 || got.Name != "gbm.onnx" || string(got.Content) != "onnx" || strings.Join(got.Columns, " ") != "b a" || got.Bad != "yes" || got.Rows != "r.csv" || got.Note != "June" {
		t.Errorf("exit %d, got %+v: %s", o.code, got, o.err)
	}
	for _, want := range []string{"PROMOTE: it is better", "aura model promote 4", "Brier (0.2, limit 0.1)"} {
		if !strings.Contains(o.out, want) {
			t.Errorf("no %q in:\n%s", want, o.out)
		}
	}
	if strings.Contains(o.out, "PSI") {
		t.Errorf("what doesn't decide is called not passed:\n%s", o.out)
	}
	if o := try(t, commands, nil, "model", "import", name, "-o", "json"); o.code != 0 || !strings.Contains(o.out, `"challenger": true`) {
		t.Errorf("exit %d: %s", o.code, o.out)
	}
	if o := try(t, commands, nil, "model", "import", name+".missing"); o.code != ExitUsage || !strings.Contains(o.err, "name an ONNX file") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	url, asked := answering(t, 200, "application/json", marshal(t, result))
	o = try(t, commands, nil, "model", "import", name, "--server", url, "--columns", "b,a", "--note", "June, again")
	if want := "/api/v1/models/import?columns=b%2Ca&name=gbm.onnx&note=June%2C+again"; o.code != 0 || len(*asked) != 1 || (*asked)[0].path != want ||
		(*asked)[0].body != "onnx" || (*asked)[0].media != "application/octet-stream" || !strings.Contains(o.out, "aura model promote 4") {
		t.Errorf("by a server: exit %d, asked %+v: %s%s", o.code, *asked, o.out, o.err)
	}
	if o := try(t, commands, nil, "model", "import", name, "--server", url, "--rows", "r.csv"); o.code != ExitUsage || len(*asked) != 1 || !strings.Contains(o.err, "leave --rows out") {
		t.Errorf("rows for a server: exit %d: %s", o.code, o.err)
	}
	failed = Exit(ExitUsage, errors.New("graph: softmax"), "")
	if o := try(t, commands, nil, "model", "import", name); o.code != ExitUsage || !strings.Contains(o.err, "softmax") || o.out != "" {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
}
