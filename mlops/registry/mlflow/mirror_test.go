package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/onnx"
	"aura/mlops/registry"
	"aura/mlops/registry/mlflow"
	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/mlops/registry/registrytest"
	"aura/mlops/schema"
)

// mirrored is a registry with a mirror on a server.
type mirrored struct {
	t        *testing.T
	url      string
	registry *registry.Registry
	mirror   *mlflow.Mirror
	model    string
	refuse   error // what a promotion from MLflow gets
}

func newMirrored(t *testing.T, url, model string, versions int) *mirrored {
	t.Helper()
	c, err := mlflow.NewClient(url, mlflow.Credentials{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrored{t: t, url: url, registry: registry.New(registrytest.NewMemory(), t.TempDir(), schema.Builtin(), slog.New(slog.DiscardHandler)), model: model}
	m.mirror = mlflow.NewMirror(mlflow.Options{
		Client: c, Registry: m.registry, Model: model, Experiment: "credit decisions",
		Export: func(m *registry.Model) ([]byte, error) { return onnx.Export(m.Schema(), m.Forest(), nil) },
		Promote: func(ctx context.Context, version int, reason string) error {
			if m.refuse != nil {
				return m.refuse
			}
			_, err := m.registry.Promote(ctx, version, "mlflow", reason)
			return err
		},
		Now: time.Now,
	})
	for range versions {
		m.register()
	}
	m.promote(1)
	return m
}

// register adds a version, another one each time.
func (m *mirrored) register() {
	m.t.Helper()
	list, err := m.registry.Versions(m.t.Context(), 1000, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	seed := uint64(len(list)) + 1 + uint64(len(m.model))*100
	s := schema.Builtin()
	d := forest.Data{Columns: registry.Columns(s)}
	for _, r := range dataset.Synthetic(300, seed) {
		d.X, d.Y = append(d.X, s.Vector(r.Values)), append(d.Y, r.Bad)
	}
	f, err := forest.Train(m.t.Context(), d, forest.Params{Trees: 5, Depth: 4, Seed: seed}, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	model, err := registry.NewModel(s, f, registry.Info{
		Metrics: registry.Metrics{HoldoutAUC: 0.9, Brier: 0.1}, Window: registry.Window{Rows: 300, From: time.Unix(1000, 0), To: time.Unix(2000, 0)},
		Seed: seed, DataDigest: d.Digest(),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.registry.Register(m.t.Context(), model, registry.Note{By: "tester", Text: "it's a \"note\""}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirrored) promote(version int) {
	m.t.Helper()
	if _, err := m.registry.Promote(m.t.Context(), version, "tester", "a test"); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirrored) sync() {
	m.t.Helper()
	if err := m.mirror.Sync(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// call is a call as MLflow's own UI makes it.
func (m *mirrored) call(method, path string, in any) map[string]any {
	m.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(m.t.Context(), method, m.url+"/api/2.0/mlflow/"+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	out := map[string]any{}
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(text, &out) != nil {
		m.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	return out
}

// move sets an alias in MLflow.
func (m *mirrored) move(alias string, version int) {
	m.t.Helper()
	m.call(http.MethodPost, "registered-models/alias", map[string]string{"name": m.model, "alias": alias, "version": strconv.Itoa(version)})
}

// theirs are the server's aliases. The mirror's versions are numbered as ours, since it is alone there.
func (m *mirrored) theirs() map[string]int {
	m.t.Helper()
	answer := m.call(http.MethodGet, "registered-models/get?name="+m.model, map[string]string{})
	out := map[string]int{}
	model, _ := answer["registered_model"].(map[string]any)
	list, _ := model["aliases"].([]any)
	for _, a := range list {
		pair := a.(map[string]any)
		out[pair["alias"].(string)], _ = strconv.Atoi(pair["version"].(string))
	}
	return out
}

// agree fails unless both sides have these aliases.
func (m *mirrored) agree(want map[string]int) {
	m.t.Helper()
	ours, err := m.registry.Aliases(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if theirs := m.theirs(); !maps.Equal(ours, want) || !maps.Equal(theirs, want) {
		m.t.Errorf("aliases are %v here and %v there, want %v", ours, theirs, want)
	}
}

// numbers are the versions on the server, by our numbers.
func (m *mirrored) numbers() []string {
	m.t.Helper()
	answer := m.call(http.MethodGet, "model-versions/search?max_results=100&filter=name%3D%27"+m.model+"%27", map[string]string{})
	var out []string
	list, _ := answer["model_versions"].([]any)
	for _, v := range list {
		tags, _ := v.(map[string]any)["tags"].([]any)
		for _, t := range tags {
			if pair := t.(map[string]any); pair["key"] == "aura.version" {
				out = append(out, pair["value"].(string))
			}
		}
	}
	slices.Sort(out)
	return out
}

// suite runs over a server, in a registered model of each case's own.
func suite(t *testing.T, url func(t *testing.T) string) {
	for i, c := range []struct {
		name string
		test func(m *mirrored)
	}{
		{"what is here is there, once", func(m *mirrored) {
			m.sync()
			m.sync()
			m.register()
			m.promote(3)
			m.sync()
			if got := strings.Join(m.numbers(), " "); got != "1 2 3" {
				m.t.Errorf("versions %s", got)
			}
			m.agree(map[string]int{"champion": 3, "previous": 1})
			if s := m.mirror.Status(); s.Versions != 3 || s.Missing != 0 || s.Problem != "" || s.Good.IsZero() {
				m.t.Errorf("%+v", s)
			}
		}},
		{"aliases follow a promotion and a rollback", func(m *mirrored) {
			m.sync()
			if err := m.registry.Challenge(m.t.Context(), 2, "tester", "try"); err != nil {
				m.t.Fatal(err)
			}
			m.sync()
			m.agree(map[string]int{"champion": 1, "challenger": 2})
			m.promote(2)
			m.sync()
			m.agree(map[string]int{"champion": 2, "previous": 1})
			if _, err := m.registry.Rollback(m.t.Context(), "tester", "no", nil); err != nil {
				m.t.Fatal(err)
			}
			m.sync()
			m.agree(map[string]int{"champion": 1, "previous": 2})
		}},
		{"a promotion made in MLflow is one of ours", func(m *mirrored) {
			m.sync()
			m.move("champion", 2)
			m.sync()
			m.agree(map[string]int{"champion": 2, "previous": 1})
			h, err := m.registry.History(m.t.Context(), 1)
			if err != nil || len(h) != 1 || h[0].By != "mlflow" || !strings.Contains(h[0].Reason, "moved to version 2") {
				m.t.Errorf("%+v, %v", h, err)
			}
			m.promote(1) // and we can go on from there
			m.sync()
			m.agree(map[string]int{"champion": 1, "previous": 2})
		}},
		{"an alias that is taken away comes back", func(m *mirrored) {
			m.sync()
			m.call(http.MethodDelete, "registered-models/alias", map[string]string{"name": m.model, "alias": "champion"})
			m.move("challenger", 2)
			m.sync()
			m.agree(map[string]int{"champion": 1})
		}},
		{"who moved both keeps ours", func(m *mirrored) {
			m.register()
			m.sync()
			m.move("champion", 2)
			m.promote(3)
			m.sync()
			m.agree(map[string]int{"champion": 3, "previous": 1})
		}},
		{"a promotion that is refused is set back", func(m *mirrored) {
			m.sync()
			m.move("champion", 2)
			m.refuse = &registry.Refused{Code: registry.CodeBroken, Message: "no model"}
			m.sync()
			m.agree(map[string]int{"champion": 1})
			if s := m.mirror.Status(); !strings.Contains(s.Problem, "no model") {
				m.t.Errorf("%+v", s)
			}
			m.sync()
			if s := m.mirror.Status(); s.Problem != "" {
				m.t.Errorf("afterwards %+v", s)
			}
		}},
		{"a promotion that fails is tried again", func(m *mirrored) {
			m.sync()
			m.move("champion", 2)
			m.refuse = errors.New("the store is away")
			if err := m.mirror.Sync(m.t.Context()); err == nil {
				m.t.Error("no error")
			}
			m.refuse = nil
			m.sync()
			m.agree(map[string]int{"champion": 2, "previous": 1})
		}},
		{"a champion that isn't ours is said", func(m *mirrored) {
			m.sync()
			m.call(http.MethodPost, "model-versions/create", map[string]string{"name": m.model, "source": "s3://elsewhere/model"})
			m.move("champion", 3)
			m.sync()
			if s := m.mirror.Status(); !strings.Contains(s.Problem, "version 3") {
				m.t.Errorf("%+v", s)
			}
			if got := m.theirs()["champion"]; got != 3 {
				m.t.Errorf("the alias is at %d", got)
			}
			m.promote(2)
			m.sync()
			m.agree(map[string]int{"champion": 2, "previous": 1})
		}},
		{"the model of another registry is left alone", func(m *mirrored) {
			m.sync()
			other := newMirrored(m.t, m.url, m.model, 0+1)
			if err := other.mirror.Sync(m.t.Context()); err != nil {
				m.t.Errorf("the same models: %v", err)
			}
			strange := newMirrored(m.t, m.url, m.model+"x", 1) // other models
			strange.mirror = nil
			c, err := mlflow.NewClient(m.url, mlflow.Credentials{}, 0)
			if err != nil {
				m.t.Fatal(err)
			}
			mirror := mlflow.NewMirror(mlflow.Options{
				Client: c, Registry: strange.registry, Model: m.model, Experiment: "x", Now: time.Now,
				Export: func(*registry.Model) ([]byte, error) { return nil, nil },
			})
			if err := mirror.Sync(m.t.Context()); err == nil || !strings.Contains(err.Error(), "another registry") || !strings.Contains(mirror.Status().Problem, "mlflow.model") {
				m.t.Errorf("%v, %+v", err, mirror.Status())
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(newMirrored(t, url(t), fmt.Sprintf("credit%d", i), 2)) })
	}
}

func TestMirror(t *testing.T) {
	suite(t, func(t *testing.T) string { return mlflowtest.NewFake(t).URL })
}

// TestRealMirror is the same on the real server.
func TestRealMirror(t *testing.T) {
	url := mlflowtest.Start(t).URL
	suite(t, func(*testing.T) string { return url })
}

// TestAServerThatFailsAnywhere: whichever call fails, nothing is written twice, nothing stays half written, and the next Sync
// goes on.
func TestAServerThatFailsAnywhere(t *testing.T) {
	f := mlflowtest.NewFake(t)
	newMirrored(t, f.URL, "credit", 2).sync()
	whole := f.Calls()
	for n := 1; n <= whole; n++ {
		f := mlflowtest.NewFake(t)
		m := newMirrored(t, f.URL, "credit", 2)
		f.FailAt(n)
		if err := m.mirror.Sync(t.Context()); err == nil {
			t.Fatalf("call %d failed and Sync did not", n)
		}
		if s := m.mirror.Status(); s.Problem == "" || !s.Good.IsZero() {
			t.Errorf("call %d failed: %+v", n, s)
		}
		m.sync()
		if got := strings.Join(m.numbers(), " "); got != "1 2" {
			t.Errorf("call %d failed: versions %s", n, got)
		}
		m.agree(map[string]int{"champion": 1})
		if runs := f.Runs(); runs["RUNNING"] != 0 || runs["FINISHED"] < 1 || runs["FAILED"] > 1 {
			t.Errorf("call %d failed: runs %v", n, runs)
		}
	}
}

func TestAServerThatIsDown(t *testing.T) {
	f := mlflowtest.NewFake(t)
	m := newMirrored(t, f.URL, "credit", 1)
	m.sync()
	good := m.mirror.Status().Good
	f.Down(true)
	m.register()
	m.promote(2)
	if err := m.mirror.Sync(t.Context()); err == nil || !m.mirror.Status().Good.Equal(good) || m.mirror.Status().Missing == 0 {
		t.Errorf("%v, %+v", err, m.mirror.Status())
	}
	f.Down(false)
	m.sync()
	m.agree(map[string]int{"champion": 2, "previous": 1})
}
