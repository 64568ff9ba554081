package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// loadText loads with nothing of the machine's environment or directory.
func loadText(t *testing.T, content string, environ []string, flags ...Flag) (Loaded, error) {
	t.Helper()
	return Load(Options{File: write(t, content), Environ: environ, Flags: flags})
}

func TestPrecedence(t *testing.T) {
	const file, key = "http: {addr: '127.0.0.1:1'}", "http.addr"
	environ := []string{"AURA_HTTP_ADDR=127.0.0.1:2", "PATH=/bin"}
	flag := Flag{Name: "--http", Key: key, Value: "127.0.0.1:3"}
	for _, c := range []struct {
		name, file string
		environ    []string
		flags      []Flag
		want       string
		origin     string
	}{
		{"default", "", nil, nil, "127.0.0.1:8080", "default"},
		{"file", file, nil, nil, "127.0.0.1:1", "file "},
		{"environment beats file", file, environ, nil, "127.0.0.1:2", "environment AURA_HTTP_ADDR"},
		{"flag beats environment", file, environ, []Flag{flag}, "127.0.0.1:3", "flag --http"},
		{"flag beats file", file, nil, []Flag{flag}, "127.0.0.1:3", "flag --http"},
		{"environment beats default", "", environ, nil, "127.0.0.1:2", "environment AURA_HTTP_ADDR"},
		{"later flag beats earlier", "", nil, []Flag{{"--set", key, "127.0.0.1:4"}, flag}, "127.0.0.1:3", "flag --http"},
		{"empty variable is unset", file, []string{"AURA_HTTP_ADDR="}, nil, "127.0.0.1:1", "file "},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := loadText(t, c.file, c.environ, c.flags...)
			if err != nil {
				t.Fatal(err)
			}
			if l.Config.HTTP.Addr != c.want || !strings.HasPrefix(l.Origin(key), c.origin) {
				t.Errorf("got %s from %q, want %s from %q", l.Config.HTTP.Addr, l.Origin(key), c.want, c.origin)
			}
			if l.Config.Bus != Default().Bus || l.Origin("bus.kind") != "default" {
				t.Errorf("another key changed: %+v from %q", l.Config.Bus, l.Origin("bus.kind"))
			}
		})
	}
}

func TestEveryKeyFromEveryLayer(t *testing.T) {
	for _, f := range fields {
		want := format(f.in(new(Default())))
		value := want
		if f.typ.Kind() == reflect.Slice {
			value = "model,decision"
			want = "[model, decision]"
		}
		if f.typ == reflect.TypeFor[Document]() {
			value, want = "{}", "{}"
			if f.key == "governance.rules" {
				value, want = "\n- {name: a, when: 'true', decide: DENIED, reason: x}\n- {name: b, when: 'true', decide: DENIED, reason: x}", "(2 lines of YAML)"
			}
		}
		if f.secret {
			value, want = "secret", "secret"
		}
		if f.key == "healing.webhook" {
			value, want = "https://hooks.example/x", "https://hooks.example/x"
		}
		if f.key == "tracing.endpoint" {
			value, want = "http://127.0.0.1:4318", "http://127.0.0.1:4318"
		}
		if f.key == "mlflow.url" {
			value, want = "http://127.0.0.1:5000", "http://127.0.0.1:5000"
		}
		if f.key == "store.url" {
			value, want = "postgres://a:b@c/d", "postgres://a:b@c/d"
		}
		if f.key == "governance.principals" {
			value, want = "testdata/people.yaml", "testdata/people.yaml"
		}
		if value == `""` {
			value, want = "x", "x"
		}
		for _, name := range []string{EnvName(f.key), f.tag.Get("env")} {
			if name == "" {
				continue
			}
			l, err := loadText(t, "", []string{name + "=" + value})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := format(f.in(&l.Config)); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
}

// The distributed file must name every key, and say of each what the default is.
func TestDistributedFile(t *testing.T) {
	l, err := Load(Options{File: "../../config.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP.Hosts, want.Agents.Select = l.Config.HTTP.Hosts, l.Config.Agents.Select
	// TestDistributionSaysWhatShips compares what the documents say.
	want.Healing.Playbooks, want.Governance.Rules, want.Governance.Limits = l.Config.Healing.Playbooks, l.Config.Governance.Rules, l.Config.Governance.Limits
	if !reflect.DeepEqual(l.Config, want) || len(l.Config.HTTP.Hosts)+len(l.Config.Agents.Select) != 0 {
		t.Errorf("config.yaml differs from the defaults:\n%+v\n%+v", l.Config, want)
	}
	for _, key := range Keys() {
		if !strings.HasPrefix(l.Origin(key), "file ") {
			t.Errorf("config.yaml doesn't hold %s", key)
		}
	}
}

func TestDirectoryFileIsOptional(t *testing.T) {
	dir := t.TempDir()
	l, err := Load(Options{Dir: dir})
	if err != nil || l.File != "" {
		t.Fatalf("without a file: %q, %v", l.File, err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("seed: 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err = Load(Options{Dir: dir})
	if err != nil || l.Config.Seed != 7 || l.File == "" {
		t.Fatalf("with a file: seed %d from %q, %v", l.Config.Seed, l.File, err)
	}
}

func TestValues(t *testing.T) {
	l, err := loadText(t, `
agents: {select: [model, "decision"], stage_deadline: 250ms}
retention: {applications: 180d}
training: {rows: 1e4}
http: {max_body: 2MiB}
source: {rate: 0, train_share: 0.25}
simulate: {rate: 1.5}
sweep:
`, nil, Flag{"--set", "seed", "18446744073709551615"})
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config
	if !reflect.DeepEqual(c.Agents.Select, []string{"model", "decision"}) || c.Agents.StageDeadline != 250*time.Millisecond ||
		c.Retention.Applications != 4320*time.Hour || c.Training.Rows != 10_000 || c.HTTP.MaxBody != 2<<20 || c.Source.Rate != 0 ||
		c.Source.TrainShare != .25 || c.Simulate.Rate != 1.5 || c.Seed != 1<<64-1 || c.Sweep != Default().Sweep {
		t.Errorf("got %+v", c)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"65536": 65536, "64KiB": 65536, "'2 MiB'": 2 << 20, "1024B": 1024} {
		l, err := loadText(t, "http: {max_body: "+text+"}", nil)
		if err != nil || l.Config.HTTP.MaxBody != want {
			t.Errorf("%s: %v, %v", text, l.Config.HTTP.MaxBody, err)
		}
	}
	for size, want := range map[Size]string{0: "0B", 1: "1B", 1000: "1000B", 1 << 10: "1KiB", 3 << 20: "3MiB", 1 << 30: "1GiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(size), got, want)
		}
		if back, err := ParseSize(want); err != nil || back != size {
			t.Errorf("%s reads back as %d, %v", want, int64(back), err)
		}
	}
	for _, bad := range []string{"", "KiB", "-1", "1.5MiB", "9223372036854775807GiB", "1 2"} {
		if _, err := ParseSize(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	const secret = "s3cr3t-s3cr3t"
	l, err := loadText(t, "", []string{"AURA_TOKEN=" + secret})
	if err != nil || l.Config.HTTP.Token != secret {
		t.Fatalf("token %q, %v", l.Config.HTTP.Token, err)
	}
	for _, v := range l.Values() {
		if strings.Contains(v.Text, secret) || v.Any == secret {
			t.Errorf("%s shows the secret", v.Key)
		}
	}
	for _, refused := range []error{
		second(loadText(t, "", []string{"AURA_TOKEN=" + secret + " " + secret})),
		second(loadText(t, "http: {token: ["+secret+"]}", nil)),
		second(loadText(t, "", []string{"AURA_TOKEN=" + secret, "AURA_HTTP_TOKEN=" + secret})),
	} {
		if refused == nil || strings.Contains(refused.Error(), secret) {
			t.Errorf("want an error without the secret, got %v", refused)
		}
	}
}

func second(_ Loaded, err error) error { return err }

func TestGoldenDefaults(t *testing.T) {
	l, err := loadText(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, v := range l.Values() {
		b.WriteString(v.Key + " = " + v.Text + " (" + v.Origin + ")\n")
	}
	const golden = "testdata/defaults.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the defaults changed (go test ./app/config -update, if meant):\n%s", b.String())
	}
}

func TestEnvironmentNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, key := range Keys() {
		if other := seen[EnvName(key)]; other != "" {
			t.Errorf("%s and %s have the same name %s in the environment", key, other, EnvName(key))
		}
		seen[EnvName(key)] = key
	}
}

// What Kubernetes and the commands put there is no setting.
func TestEnvironmentThatIsNotOurs(t *testing.T) {
	_, err := loadText(t, "", []string{"AURA_PORT=tcp://10.0.0.1:80", "AURA_PORT_80_TCP_ADDR=10.0.0.1", "AURA_SERVICE_HOST=10.0.0.1", "AURA_SERVICE_PORT_HTTP=80", "AURA_SERVER=http://x", "AURA_TEST_AS_PROGRAM=1", "AURA_KILLS=50", "AURA_OUTAGE=10m", "AURA_PYTHON=python3", "AURATE=1"})
	if err != nil {
		t.Error(err)
	}
}

func asErrors(t *testing.T, err error) Errors {
	t.Helper()
	var refused Errors
	if !errors.As(err, &refused) {
		t.Fatalf("want Errors, got %v", err)
	}
	if refused.ExitCode() != 3 {
		t.Errorf("exit code %d", refused.ExitCode())
	}
	return refused
}
