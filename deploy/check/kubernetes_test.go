package check

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// base builds the Kustomize base and decodes each object strictly: a field that its kind doesn't know is an error.
func base(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, o := range build(t, "kubernetes") {
		out[o.kind] = o.value
	}
	return out
}

type object struct {
	kind, name string
	value      any
}

// build builds what lies in a folder of deploy.
func build(t *testing.T, folder string) (out []object) {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy", folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		into := map[string]any{
			"ServiceAccount": &corev1.ServiceAccount{}, "Service": &corev1.Service{}, "ConfigMap": &corev1.ConfigMap{},
			"StatefulSet": &appsv1.StatefulSet{}, "NetworkPolicy": &networkingv1.NetworkPolicy{},
		}[r.GetKind()]
		if into == nil {
			t.Fatalf("a kind that no test knows: %s", r.GetKind())
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		out = append(out, object{r.GetKind(), r.GetName(), into})
	}
	return out
}

// TestTheSplit: every agent runs somewhere, each process has a name and the key, each service finds its own pods alone, and the
// program takes the arguments.
func TestTheSplit(t *testing.T) {
	runs := map[string]bool{}
	services, pods := map[string]map[string]string{}, map[string]map[string]string{}
	for _, o := range build(t, "kubernetes-split") {
		switch v := o.value.(type) {
		case *corev1.Service:
			services[o.name] = v.Spec.Selector
		case *appsv1.StatefulSet:
			pod := v.Spec.Template.Spec
			c := pod.Containers[0]
			pods[o.name] = v.Spec.Template.Labels
			if v.Spec.ServiceName != o.name || *v.Spec.Replicas < 2 {
				t.Errorf("%s: service %s, %d replicas", o.name, v.Spec.ServiceName, *v.Spec.Replicas)
			}
			environ := []string{"AURA_TOKEN=x", "AURA_DB=postgres://aura_user@postgres:5432/aura_db", "AURA_HTTP_ADDR=0.0.0.0:8080", "AURA_BUS_KIND=kafka"}
			named := false
			for _, e := range c.Env {
				named = named || e.Name == "AURA_INSTANCE" && e.ValueFrom.FieldRef.FieldPath == "metadata.name"
				if e.Value != "" {
					environ = append(environ, e.Name+"="+e.Value)
				}
			}
			agents := strings.TrimPrefix(c.Args[1], "--agents=")
			shown := aura(t, append(environ, "AURA_AGENTS_SELECT="+agents), "config", "show")
			if !named || !strings.Contains(shown, "/etc/aura/agl.ed25519") || !strings.Contains(shown, "agents.select") {
				t.Errorf("%s has no name or no key: %+v\n%s", o.name, c.Env, shown)
			}
			for name := range strings.SplitSeq(agents, ",") {
				runs[name] = true
			}
			if last := pod.Volumes[len(pod.Volumes)-1]; last.Secret == nil || *last.Secret.DefaultMode&0o007 != 0 {
				t.Errorf("%s: others may read the key: %+v", o.name, last)
			}
		}
	}
	for _, name := range []string{"web", "ingestion", "feature", "model", "decision", "monitoring", "healing", "governance"} {
		if !runs[name] {
			t.Errorf("%s runs nowhere", name)
		}
	}
	for name, selector := range services {
		for set, labels := range pods {
			finds := true
			for key, value := range selector {
				finds = finds && labels[key] == value
			}
			if finds != (name == set) {
				t.Errorf("service %s finds the pods of %s: %v", name, set, finds)
			}
		}
	}
	if len(services) != 3 || len(pods) != 3 {
		t.Errorf("%d services, %d sets", len(services), len(pods))
	}
}

// TestTheBase: what a pod may and may not do, whom it answers, and that the program takes its environment.
func TestTheBase(t *testing.T) {
	objects := base(t)
	set, config := objects["StatefulSet"].(*appsv1.StatefulSet), objects["ConfigMap"].(*corev1.ConfigMap)
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	if *set.Spec.Replicas != 1 || len(pod.Containers) != 1 || !*pod.SecurityContext.RunAsNonRoot || *pod.AutomountServiceAccountToken {
		t.Errorf("%d replicas, %+v", *set.Spec.Replicas, pod.SecurityContext)
	}
	if s := c.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || fmt.Sprint(s.Capabilities.Drop) != "[ALL]" {
		t.Errorf("%+v", s)
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" || c.StartupProbe.HTTPGet.Path != "/readyz" {
		t.Error("the probes ask for something else")
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || *pod.TerminationGracePeriodSeconds < 30 {
		t.Errorf("%+v, %d s to stop", c.Resources, *pod.TerminationGracePeriodSeconds)
	}
	if got := c.EnvFrom[0].ConfigMapRef.Name; got != config.Name {
		t.Errorf("the pod reads %s, the configuration is %s", got, config.Name)
	}
	labels := set.Spec.Template.Labels
	for key, value := range objects["Service"].(*corev1.Service).Spec.Selector {
		if labels[key] != value {
			t.Errorf("the service doesn't find the pod: %s", key)
		}
	}
	policy := objects["NetworkPolicy"].(*networkingv1.NetworkPolicy)
	if len(policy.Spec.PodSelector.MatchLabels) == 0 {
		t.Error("the policy is about all pods of the namespace")
	}
	environ := []string{"AURA_TOKEN=x", "AURA_DB=postgres://aura_user@postgres:5432/aura_db", "AURA_DATA_DIR=/data", "AURA_HTTP_ADDR=0.0.0.0:8080"}
	for key, value := range config.Data {
		environ = append(environ, key+"="+value)
	}
	if shown := aura(t, environ, "config", "show"); !strings.Contains(shown, "kafka:9092") {
		t.Errorf("the brokers are not in force:\n%s", shown)
	}
	aura(t, environ, "config", "validate")
}
