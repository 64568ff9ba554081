package check

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// secrets are what .env must hold.
var secrets = []string{"AURA_TOKEN", "AURA_DB_PASSWORD", "GRAFANA_PASSWORD"}

func load(t *testing.T, environ ...string) (*types.Project, error) {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "compose.yaml")}, cli.WithEnv(environ), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return o.LoadProject(context.Background())
}

// project is compose.yaml with secrets that would be seen where they don't belong.
func project(t *testing.T) *types.Project {
	t.Helper()
	var environ []string
	for _, s := range secrets {
		environ = append(environ, s+"=secret-of-"+s)
	}
	p, err := load(t, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNoPasswordIsKnownBeforehand: without each of the secrets the file is refused, by the secret's name.
func TestNoPasswordIsKnownBeforehand(t *testing.T) {
	for _, left := range secrets {
		var environ []string
		for _, s := range secrets {
			if s != left {
				environ = append(environ, s+"=x")
			}
		}
		if _, err := load(t, environ...); err == nil || !strings.Contains(err.Error(), left) {
			t.Errorf("without %s: %v", left, err)
		}
	}
	sensitive := regexp.MustCompile(`PASSWORD|TOKEN|SECRET`)
	for name, s := range project(t).Services {
		for key, value := range s.Environment {
			if sensitive.MatchString(key) && (value == nil || !strings.HasPrefix(*value, "secret-of-")) {
				t.Errorf("%s: %s doesn't come from .env", name, key)
			}
		}
	}
}

// TestEachPartIsHealthyBeforeItIsUsed: on its usual port of this machine alone, pinned, with a health check; nothing sleeps.
func TestEachPartIsHealthyBeforeItIsUsed(t *testing.T) {
	p := project(t)
	want := map[string]string{"aura": "8080", "kafka": "9092", "postgres": "5432", "mlflow": "5000", "prometheus": "9090", "grafana": "3001"}
	pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?$|^aura:local$`)
	for name, port := range want {
		s, ok := p.Services[name]
		if !ok {
			t.Errorf("no service %s", name)
			continue
		}
		if len(s.Ports) != 1 || s.Ports[0].Published != port || s.Ports[0].HostIP != "127.0.0.1" {
			t.Errorf("%s: ports %+v, want 127.0.0.1:%s", name, s.Ports, port)
		}
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Disable {
			t.Errorf("%s has no health check", name)
		}
		if text := fmt.Sprint(s.Command, s.Entrypoint, s.HealthCheck.Test); strings.Contains(text, "sleep") {
			t.Errorf("%s sleeps: %s", name, text)
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s: %s, read-only %v, %v", name, v.Source, v.ReadOnly, err)
				}
			}
		}
	}
	if len(p.Services) != len(want) {
		t.Errorf("services %v", p.ServiceNames())
	}
	for _, needed := range []string{"kafka", "postgres"} {
		if d := p.Services["aura"].DependsOn[needed]; d.Condition != types.ServiceConditionHealthy {
			t.Errorf("aura waits for %s to be %q", needed, d.Condition)
		}
	}
}

// TestTheProgramTakesItsEnvironment: aura itself reads what the container and the pod give it, and has the commands that they run.
func TestTheProgramTakesItsEnvironment(t *testing.T) {
	s := project(t).Services["aura"]
	var environ []string
	for key, value := range s.Environment {
		environ = append(environ, key+"="+*value)
	}
	shown := aura(t, environ, "config", "show", "--origin")
	for _, part := range []string{"kafka:19092", "http://mlflow:5000", "AURA_BUS_KIND"} {
		if !strings.Contains(shown, part) {
			t.Errorf("%q is not in force:\n%s", part, shown)
		}
	}
	aura(t, environ, "config", "validate")
	if command := s.HealthCheck.Test[1:]; command[0] != "/aura" {
		t.Errorf("the health check runs %v", command)
	} else {
		aura(t, nil, append(slices.Clone(command[1:]), "--help")...)
	}
}

// aura runs the program of this repository.
func aura(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program(t), args...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	c.Dir = t.TempDir()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("aura %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func program(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "aura")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", name, ".")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return name
}

// TestPromtoolTakesTheConfiguration: where promtool is.
func TestPromtoolTakesTheConfiguration(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), promtool, "check", "config", "--syntax-only", filepath.Join(root, "deploy", "compose", "prometheus.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
