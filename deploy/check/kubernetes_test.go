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
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
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
		out[r.GetKind()] = into
	}
	return out
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
