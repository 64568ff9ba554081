package app_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestArrows holds the tree to its shape: which package may import which, what may stand at the top, what must stay
// pure. Every finding says which rule and why.
func TestArrows(t *testing.T) {
	for _, finding := range arrowFindings(t, os.DirFS("..")) {
		t.Error(finding)
	}
}

// arrowRank orders the top folders: main -> app -> web -> agents -> store -> {healing, mlops}.
var arrowRank = map[string]int{"": 0, "app": 1, "web": 2, "agents": 3, "store": 4, "healing": 5, "mlops": 5}

// arrowTop is what may stand at the top beside dotfiles and what .gitignore names.
var arrowTop = []string{
	"main.go", "app", "web", "agents", "store", "healing", "mlops", "go.mod", "go.sum", "config.yaml", "Dockerfile", "compose.yaml",
	"README.md", "LICENSE", "docs", "examples", "deploy",
}

var arrowBadFolders = []string{"internal", "pkg", "cmd", "util", "utils", "common", "types", "helper", "helpers", "misc"}

// arrowShared are the folders of agents that agents may use; every other folder there is an agent of its own.
var arrowShared = []string{"event", "bus", "announce", "desired", "reference", "shadow", "tally", "tracing"}

// arrowOwners are libraries that one part of the tree keeps to itself.
var arrowOwners = []struct{ library, owner, why string }{
	{"go.uber.org/fx", "app", "wiring has one place; every other package is made by plain constructors and tested without a container"},
	{"go.uber.org/dig", "app", "wiring has one place; every other package is made by plain constructors and tested without a container"},
	{"gorm.io", "store", "rows and queries have one place; others see the store's own types, so that a database can be changed there"},
}

// arrowImpure are packages that healing/ may not import: time and all input are arguments there (D11), so that hours of
// healing can be replayed in milliseconds.
var arrowImpure = []string{
	"os", "io/ioutil", "net", "net/http", "database/sql", "syscall", "log", "log/slog", "embed", "math/rand",
	"github.com/ThreeDotsLabs", "github.com/IBM/sarama", "modernc.org",
}

var arrowClocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// arrowFile is one Go file as the rules see it.
type arrowFile struct {
	name, folder, top string
	test              bool
	imports           []string
	clocks            []string // calls of package time that read or wait for the clock
}

func arrowFindings(t *testing.T, tree fs.FS) []string {
	t.Helper()
	findings := arrowTopFindings(t, tree)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		switch {
		case entry.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case entry.IsDir() && name != "." && arrowRank[strings.Split(name, "/")[0]] == 0:
			return fs.SkipDir // no code of ours: judged by arrowTopFindings
		case entry.IsDir() && slices.Contains(arrowBadFolders, base):
			findings = append(findings, name+": a folder is named after what is in it, not "+base+": say what it does (DESIGN §2)")
		case !entry.IsDir() && strings.HasSuffix(name, ".go"):
			file, err := arrowRead(tree, name)
			if err != nil {
				return err
			}
			findings = append(findings, file.findings()...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func arrowTopFindings(t *testing.T, tree fs.FS) []string {
	t.Helper()
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := fs.ReadFile(tree, ".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	var findings []string
	for _, entry := range entries {
		name := entry.Name()
		known := strings.HasPrefix(name, ".") || slices.Contains(arrowTop, name)
		for line := range strings.Lines(string(ignored)) {
			match, _ := path.Match(strings.Trim(strings.TrimSpace(line), "/"), name)
			known = known || match
		}
		if !known {
			findings = append(findings, name+": the top of the tree holds only "+strings.Join(arrowTop, ", ")+": a newcomer shall see the shape at once (DESIGN §2)")
		}
	}
	return findings
}

func arrowRead(tree fs.FS, name string) (arrowFile, error) {
	content, err := fs.ReadFile(tree, name)
	if err != nil {
		return arrowFile{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, content, parser.SkipObjectResolution)
	if err != nil {
		return arrowFile{}, err
	}
	f := arrowFile{name: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	if f.folder != "." {
		f.top = strings.Split(f.folder, "/")[0]
	}
	clock := ""
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return arrowFile{}, err
		}
		f.imports = append(f.imports, imported)
		if imported == "time" {
			clock = "time"
			if spec.Name != nil {
				clock = spec.Name.Name
			}
		}
	}
	if clock == "." {
		f.clocks = append(f.clocks, "a dot import")
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == clock && slices.Contains(arrowClocks, s.Sel.Name) {
				f.clocks = append(f.clocks, s.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

func arrowUnder(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// arrowAgent names the agent whose package a folder is, or nothing.
func arrowAgent(folder string) string {
	rest, under := strings.CutPrefix(folder, "agents/")
	name, _, _ := strings.Cut(rest, "/")
	if !under || name == "fault" || slices.Contains(arrowShared, name) {
		return ""
	}
	return name
}

func (f arrowFile) findings() (out []string) {
	refuse := func(form string, args ...any) { out = append(out, f.name+": "+fmt.Sprintf(form, args...)) }
	for _, imported := range f.imports {
		if ours, yes := strings.CutPrefix(imported, "aura/"); yes {
			f.ours(ours, refuse)
			continue
		}
		if imported == "C" {
			refuse("imports C: the binary needs nothing but Go (D13)")
		}
		for _, o := range arrowOwners {
			if arrowUnder(imported, o.library) && f.top != o.owner {
				refuse("imports %s, which only %s may: %s", imported, o.owner, o.why)
			}
		}
		if f.top == "healing" && !f.test && slices.ContainsFunc(arrowImpure, func(p string) bool { return arrowUnder(imported, p) }) && imported != "net/netip" && imported != "math/rand/v2" {
			refuse("imports %s: healing/ judges and does no I/O; an agent does it and passes values (DESIGN §2)", imported)
		}
	}
	if f.top == "healing" && !f.test && len(f.clocks) > 0 {
		refuse("uses %s of package time: in healing/ time is an argument, so that an incident can be replayed (D11)", strings.Join(f.clocks, ", "))
	}
	return out
}

// ours judges an import of one of our own packages, given without the module's name.
func (f arrowFile) ours(imported string, refuse func(string, ...any)) {
	top := strings.Split(imported, "/")[0]
	from, to := arrowAgent(f.folder), arrowAgent(imported)
	switch {
	case f.top == "" && !arrowUnder(imported, "app"):
		refuse("imports %s: main calls app, nothing else", imported)
	case top == f.top:
	case arrowRank[top] == arrowRank[f.top]:
		refuse("imports %s: healing and mlops are siblings and know nothing of each other; an agent brings them together", imported)
	case arrowRank[top] < arrowRank[f.top]:
		refuse("imports %s: an arrow to the left (main -> app -> web -> agents -> store -> healing, mlops); declare the interface here and let app pass it in", imported)
	}
	switch {
	case f.top == "agents" && to != "" && from != "" && from != to:
		refuse("imports %s: one agent knows no other, they talk over the bus; what both need goes left of them or into event", imported)
	case f.top == "agents" && to != "" && from == "" && !f.test:
		refuse("imports %s: the runtime knows no agent; agents come to it as agents.Spec", imported)
	case imported == "agents/fault" && f.top != "app" && f.top != "web" && f.folder != imported && !f.test:
		refuse("imports %s: nobody but app and web sees injected faults, so that whatever judges is blind to them (D15)", imported)
	case strings.HasPrefix(imported, "app") && f.folder == "app/config":
		refuse("imports %s: config is a value that everything in app may use, it uses nothing", imported)
	case strings.HasSuffix(imported, "test") && f.folder != imported && !f.test:
		refuse("imports %s: a package of tests is for _test.go files", imported)
	}
}

// TestArrowsFindViolations plants one violation at a time in a sound tree: a checker that finds nothing proves nothing.
func TestArrowsFindViolations(t *testing.T) {
	sound := map[string]string{
		".gitignore": "/data/\n*.prof\n", "go.mod": "module aura", "data/x": "", "cpu.prof": "", "docs/types/x.md": "",
		"main.go":                        arrowSource("main", "aura/app", "aura/app/cli"),
		"app/app.go":                     arrowSource("app", "go.uber.org/fx", "aura/web", "aura/agents/fault", "aura/agents/model", "aura/mlops/forest"),
		"app/config/config.go":           arrowSource("config", "time"),
		"web/web.go":                     arrowSource("web", "aura/web/api", "aura/agents/fault"),
		"agents/agents.go":               arrowSource("agents", "aura/agents/bus", "aura/agents/event"),
		"agents/agents_test.go":          arrowSource("agents", "aura/agents/fault", "aura/agents/bus/bustest"),
		"agents/bus/bustest/s.go":        arrowSource("bustest", "aura/agents/bus"),
		"agents/model/model.go":          arrowSource("model", "aura/agents", "aura/agents/event", "aura/agents/desired", "aura/store", "aura/healing/detect"),
		"store/store.go":                 arrowSource("store", "gorm.io/gorm", "aura/mlops/schema") + "\nvar _ = time.Now",
		"healing/detect/d.go":            arrowSource("detect", "math", "math/rand/v2", "time") + "\nvar _ time.Duration",
		"healing/detect/d_test.go":       arrowSource("detect", "os"),
		"healing/detect/testdata/bad.go": "no Go at all",
		"mlops/forest/f.go":              arrowSource("forest", "os", "time") + "\nvar _ = time.Now",
	}
	for _, c := range []struct{ name, file, content, want string }{
		{"nothing", "", "", ""},
		{"left from store", "store/x.go", arrowSource("store", "aura/agents/event"), "an arrow to the left"},
		{"left from web", "web/page/x.go", arrowSource("page", "aura/app/config"), "an arrow to the left"},
		{"left in a test", "mlops/forest/x_test.go", arrowSource("forest", "aura/store"), "an arrow to the left"},
		{"siblings", "mlops/forest/x.go", arrowSource("forest", "aura/healing/detect"), "siblings"},
		{"siblings, the other way", "healing/detect/x.go", arrowSource("detect", "aura/mlops/schema"), "siblings"},
		{"main does something", "extra.go", arrowSource("main", "aura/store"), "main calls app"},
		{"fx outside app", "agents/model/x.go", arrowSource("model", "go.uber.org/fx"), "only app may"},
		{"gorm outside store", "app/x.go", arrowSource("app", "gorm.io/gorm/clause"), "only store may"},
		{"agent imports agent", "agents/decision/x.go", arrowSource("decision", "aura/agents/model"), "one agent knows no other"},
		{"agent imports agent in a test", "agents/decision/x_test.go", arrowSource("decision", "aura/agents/model"), "one agent knows no other"},
		{"runtime imports agent", "agents/bus/x.go", arrowSource("bus", "aura/agents/model"), "knows no agent"},
		{"peeking", "agents/monitoring/x.go", arrowSource("monitoring", "aura/agents/fault"), "(D15)"},
		{"the runtime peeks", "agents/x.go", arrowSource("agents", "aura/agents/fault"), "(D15)"},
		{"config uses app", "app/config/x.go", arrowSource("config", "aura/app/cli"), "uses nothing"},
		{"test package in the product", "app/x.go", arrowSource("app", "aura/agents/bus/bustest"), "for _test.go files"},
		{"clock", "healing/policy/x.go", arrowSource("policy", "time") + "\nvar _ = time.Now()", "time is an argument"},
		{"clock renamed", "healing/policy/x.go", "package policy\nimport clock \"time\"\nvar _ = clock.After", "time is an argument"},
		{"clock dotted", "healing/policy/x.go", "package policy\nimport . \"time\"\nvar _ = Now", "time is an argument"},
		{"file I/O", "healing/policy/x.go", arrowSource("policy", "os"), "does no I/O"},
		{"database", "healing/policy/x.go", arrowSource("policy", "database/sql"), "does no I/O"},
		{"network", "healing/policy/x.go", arrowSource("policy", "net/http/httptest"), "does no I/O"},
		{"bus", "healing/policy/x.go", arrowSource("policy", "github.com/ThreeDotsLabs/watermill/message"), "does no I/O"},
		{"cgo", "mlops/forest/x.go", arrowSource("forest", "C"), "nothing but Go"},
		{"folder", "agents/util/x.go", arrowSource("util"), "a folder is named after"},
		{"deep folder", "web/page/internal/x.go", arrowSource("internal"), "a folder is named after"},
		{"folder at the top", "pkg/x.go", arrowSource("pkg"), "the top of the tree"},
		{"file at the top", "notes.txt", "", "the top of the tree"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, content := range sound {
				tree[name] = &fstest.MapFile{Data: []byte(content)}
			}
			if c.file != "" {
				tree[c.file] = &fstest.MapFile{Data: []byte(c.content)}
			}
			found := strings.Join(arrowFindings(t, tree), "\n")
			if c.want == "" && found != "" {
				t.Errorf("found in a sound tree: %s", found)
			}
			if !strings.Contains(found, c.want) || c.file != "" && !strings.Contains(found, strings.Split(c.file, "/")[0]) {
				t.Errorf("want %q of %s, found %q", c.want, c.file, found)
			}
		})
	}
}

// arrowSource is a Go file of a package with imports.
func arrowSource(name string, imports ...string) string {
	var b strings.Builder
	b.WriteString("package " + name + "\n")
	for _, i := range imports {
		b.WriteString("import _ " + strconv.Quote(i) + "\n")
	}
	return strings.ReplaceAll(b.String(), `import _ "time"`, `import "time"`)
}
