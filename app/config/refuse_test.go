package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		flags      []Flag
		want       []string // each in the message
	}{
		{"unknown key", "http: {adr: x}", nil, nil, []string{"http.adr", "unknown key", "did you mean http.addr?", "file "}},
		{"unknown section", "weather: {profile: x}", nil, nil, []string{"weather.profile", "unknown key", "aura config show"}},
		{"unknown short key", "", nil, []Flag{{"--set", "lanes", "4"}}, []string{"did you mean bus.lanes?", "flag --set"}},
		{"unknown variable", "", []string{"AURA_HTTP_ADR=x"}, nil, []string{"AURA_HTTP_ADR", "did you mean AURA_HTTP_ADDR?"}},
		{"section as value", "http: 5", nil, nil, []string{"http", "a section, not a value"}},
		{"value as section", "seed: {a: 1}", nil, nil, []string{"seed.a", "unknown key"}},
		{"dotted key", "http.addr: 127.0.0.1:1", nil, nil, []string{"http.addr", "nest it"}},
		{"not YAML", "http: [", nil, nil, []string{"mend the YAML"}},
		{"two documents", "seed: 1\n---\nseed: 2", nil, nil, []string{"some.yaml", "more than one YAML document", "line 2", "one document"}},
		{"a second document that is no YAML", "seed: 1\n---\nseed: [", nil, nil, []string{"some.yaml", "more than one YAML document"}},
		{"rules in two documents", "", []string{"AURA_GOVERNANCE_RULES=[]\n---\n[]"}, nil, []string{"governance.rules", "more than one", "one document"}},
		{"playbooks in two documents", "", []string{"AURA_HEALING_PLAYBOOKS={}\n---\n{}"}, nil, []string{"healing.playbooks", "more than one"}},
		{"key twice", "seed: 1\nseed: 2", nil, nil, []string{"seed", "line 2"}},
		{"duration without unit", "http: {wait: 2}", nil, nil, []string{"http.wait = 2", "500ms"}},
		{"no duration", "", []string{"AURA_HTTP_WAIT=soon"}, nil, []string{`http.wait = "soon"`, "environment AURA_HTTP_WAIT", "500ms"}},
		{"no number", "bus: {lanes: many}", nil, nil, []string{`bus.lanes = "many"`, "whole number"}},
		{"half a number", "bus: {lanes: 1.5}", nil, nil, []string{"bus.lanes = 1.5", "whole number"}},
		{"NaN", "simulate: {rate: .nan}", nil, nil, []string{"simulate.rate", "write a number"}},
		{"negative seed", "seed: -1", nil, nil, []string{"seed = -1", "whole number"}},
		{"null", "data: {dir: }", nil, nil, []string{"data.dir = (empty)", "write a text"}},
		{"no size", "http: {max_body: big}", nil, nil, []string{"http.max_body", "64KiB"}},
		{"no bool", "faults: {enabled: maybe}", nil, nil, []string{"faults.enabled", "true or false"}},
		{"no list", "agents: {select: 3}", nil, nil, []string{"agents.select = 3", "write a list"}},
		{"too few", "bus: {lanes: 0}", nil, nil, []string{"bus.lanes = 0", "at least 1"}},
		{"too many", "training: {trees: 5000}", nil, nil, []string{"training.trees", "at most 2000"}},
		{"not above", "source: {train_share: 0}", nil, nil, []string{"source.train_share", "more than 0"}},
		{"not in enum", "bus: {kind: rabbit}", nil, nil, []string{"bus.kind = rabbit", "memory, gochannel"}},
		{"order of ages", "sweep: {min_age: 2m}", nil, nil, []string{"sweep.min_age = 2m", "raise sweep.max_age"}},
		{"no port", "http: {addr: localhost}", nil, nil, []string{"http.addr = localhost", "host:port"}},
		{"port too large", "http: {addr: 'localhost:70000'}", nil, nil, []string{"http.addr", "host:port"}},
		{"open to all", "http: {addr: ':8080'}", nil, nil, []string{"http.addr = :8080", "AURA_TOKEN", "127.0.0.1:8080"}},
		{"open to others", "", nil, []Flag{{"--http", "http.addr", "10.0.0.1:80"}}, []string{"flag --http", "AURA_TOKEN"}},
		{"agent twice", "agents: {select: [model, model]}", nil, nil, []string{"agents.select", "twice"}},
		{"no agent", "agents: {select: ['Model!']}", nil, nil, []string{"agents.select", "lower-case"}},
		{"file and simulator", "source: {file: a.csv}", []string{"AURA_SIMULATE_RATE=5"}, nil, []string{"simulate.rate = 5", "source.file is set too", "leave one"}},
		{"drift that can't end", "monitoring: {psi: 0.1}", nil, nil, []string{"monitoring.psi_clear = 0.1", "monitoring.psi = 0.1", "lower it"}},
		{"one lost beat", "monitoring: {heartbeat_missing: 1s}\nagents: {heartbeat: 500ms}", nil, nil, []string{"monitoring.heartbeat_missing = 1s", "three heartbeats"}},
		{"no false alarms", "monitoring: {false_alarms_month: 0}", nil, nil, []string{"monitoring.false_alarms_month", "more than 0"}},
		{"too cautious", "monitoring: {harmless_shift: 0.2, autocorrelation: 0.5, false_alarms_month: 1e-90}", nil, nil, []string{"monitoring.false_alarms_month", "allow more"}},
		{"no people", "governance: {principals: /nonexistent/people.yaml}", nil, nil, []string{"governance.principals = /nonexistent/people.yaml", "no such file", "leave it empty"}},
		{"people of another form", "governance: {principals: testdata/defaults.golden}", nil, nil, []string{"governance.principals", "token_sha256"}},
		{"no MLflow", "mlflow: {url: '127.0.0.1:5000'}", nil, nil, []string{"mlflow.url", "http://127.0.0.1:5000"}},
		{"a secret in the address", "mlflow: {url: 'http://u:p@h'}", nil, nil, []string{"mlflow.url", "MLFLOW_TRACKING_PASSWORD"}},
		{"no collector", "tracing: {endpoint: '127.0.0.1:4318'}", nil, nil, []string{"tracing.endpoint", "http://127.0.0.1:4318"}},
		{"more than all", "tracing: {ratio: 1.5}", nil, nil, []string{"tracing.ratio"}},
		{"no registered model", "mlflow: {url: 'http://h', model: 'a/b'}", nil, nil, []string{"mlflow.model", "slash"}},
		{"no directory", "data: {dir: ''}", nil, nil, []string{"data.dir", "name a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, c.file, c.environ, c.flags...)
			refused := asErrors(t, err)
			if len(refused) != 1 {
				t.Errorf("want one problem, got %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			for _, p := range refused {
				if p.Key == "" || p.Wrong == "" || p.Remedy == "" {
					t.Errorf("a problem without key, reason or remedy: %+v", p)
				}
			}
		})
	}
}

func TestAllProblemsAtOnceInOrder(t *testing.T) {
	_, err := loadText(t, "bus: {lanes: 0, kind: x}\nseed: no", []string{"AURA_HTTP_WAIT=3", "AURA_NO_SUCH_THING=1"}, Flag{"--log-level", "log.level", "loud"})
	var keys []string
	for _, p := range asErrors(t, err) {
		keys = append(keys, p.Key)
	}
	want := []string{"AURA_NO_SUCH_THING", "http.wait", "bus.kind", "bus.lanes", "seed", "log.level"}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got %v, want %v", keys, want)
	}
}

// A value that a higher layer replaced by a good one is still wrong where it stands: whoever removes the flag would be
// surprised. A good one that is out of bounds only where nobody uses it is not looked at.
func TestBrokenLowerLayer(t *testing.T) {
	_, err := loadText(t, "seed: no", nil, Flag{"--seed", "seed", "3"})
	if refused := asErrors(t, err); len(refused) != 1 || refused[0].Key != "seed" {
		t.Errorf("got %v", err)
	}
	if _, err := loadText(t, "bus: {lanes: 0}", []string{"AURA_BUS_LANES=2"}); err != nil {
		t.Errorf("a value that isn't in force was refused: %v", err)
	}
}

func TestOpenAddressWithToken(t *testing.T) {
	l, err := loadText(t, "http: {addr: '0.0.0.0:8080'}", []string{"AURA_TOKEN=abc"})
	if err != nil || l.Origin("http.token") != "environment AURA_TOKEN" {
		t.Errorf("%v, token from %q", err, l.Origin("http.token"))
	}
}

func TestFileReplacesSimulator(t *testing.T) {
	l, err := loadText(t, "source: {file: a.csv}\nsimulate: {rate: 50}", nil)
	if err != nil || l.Config.Simulate.Rate != 0 || !strings.Contains(l.Origin("simulate.rate"), "source.file") {
		t.Errorf("rate %v from %q, %v", l.Config.Simulate.Rate, l.Origin("simulate.rate"), err)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "localhost": true, "LOCALHOST": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false, "example.com": false,
	} {
		if Loopback(host) != want {
			t.Errorf("Loopback(%q) = %v", host, !want)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "missing.yaml"), t.TempDir(), large} {
		_, err := Load(Options{File: name})
		if refused := asErrors(t, err); refused[0].Remedy == "" || refused[0].Value != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzConfig: whatever a file holds, Load answers with a valid configuration or with Errors that each name a remedy.
func FuzzConfig(f *testing.F) {
	distributed, err := os.ReadFile("../../config.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(distributed, "http.addr", "127.0.0.1:0")
	f.Add([]byte("a: &a [*a]"), "agents.select", "a,,b")
	f.Add([]byte("? {x: 1}\n: 2\n1: {2: 3}\nnull: x"), "sweep.min_age", "-5d")
	f.Add([]byte("http: {max_body: 9223372036854775807GiB, wait: 99999999999999d}"), "seed", "1e400")
	f.Fuzz(func(t *testing.T, content []byte, key, value string) {
		l, err := load(content, "fuzz.yaml", Options{Environ: []string{"AURA_" + key + "=" + value}, Flags: []Flag{{"--set", key, value}}})
		if err == nil {
			if len(l.Values()) != len(fields) || l.Config.Bus.Lanes < 1 || l.Config.Data.Dir == "" {
				t.Errorf("an invalid configuration was accepted: %+v", l.Config)
			}
			return
		}
		for _, p := range asErrors(t, err) {
			if p.Wrong == "" || p.Remedy == "" {
				t.Errorf("no reason or remedy: %+v", p)
			}
		}
	})
}

// The address of a database holds a password: what is wrong with it is told without it.
func TestRefusedDatabaseIsNotQuoted(t *testing.T) {
	for _, wrong := range []string{"mysql://u:s3cret@h/d", "u:s3cret@h", "host=h password=s3cret"} {
		_, err := loadText(t, "store: {url: '"+wrong+"'}", nil)
		if asErrors(t, err); !strings.Contains(err.Error(), "store.url") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}

// A webhook may hold a secret: what is wrong with it is told without it.
func TestAWebhookIsRefusedWithoutShowingIt(t *testing.T) {
	for _, wrong := range []string{"hooks.example/s3cret", "ftp://hooks.example/s3cret", "https:///s3cret", "http://%s3cret", "/s3cret"} {
		_, err := loadText(t, "healing: {webhook: '"+wrong+"'}", nil)
		if asErrors(t, err); !strings.Contains(err.Error(), "healing.webhook") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
