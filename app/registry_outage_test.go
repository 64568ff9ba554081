//go:build linux

package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/store/proxytest"
	"aura/web/api"
)

// inMLflow is what a server has of the one registered model, asked past the network that the process has.
type inMLflow struct {
	t     *testing.T
	url   string
	model string
}

// versions are the numbers that our versions have there, by ours.
func (m inMLflow) versions() map[string]string {
	m.t.Helper()
	var list struct {
		Versions []struct {
			Version string
			Tags    []struct{ Key, Value string }
		} `json:"model_versions"`
	}
	filter := url.Values{"filter": {"name='" + m.model + "'"}, "max_results": {"100"}}
	if status, err := call(http.MethodGet, m.url+"/api/2.0/mlflow/model-versions/search?"+filter.Encode(), nil, &list); err != nil || status != http.StatusOK {
		m.t.Fatalf("versions in MLflow: %d, %v", status, err)
	}
	out := map[string]string{}
	for _, v := range list.Versions {
		for _, tag := range v.Tags {
			if tag.Key != "aura.version" {
				continue
			}
			if out[tag.Value] != "" {
				m.t.Errorf("version %s is there twice", tag.Value)
			}
			out[tag.Value] = v.Version
		}
	}
	return out
}

// champion is the version there that the alias names.
func (m inMLflow) champion() string {
	m.t.Helper()
	var answer struct {
		Model struct {
			Aliases []struct{ Alias, Version string }
		} `json:"registered_model"`
	}
	if status, err := call(http.MethodGet, m.url+"/api/2.0/mlflow/registered-models/get?name="+url.QueryEscape(m.model), nil, &answer); err != nil || status != http.StatusOK {
		m.t.Fatalf("the model in MLflow: %d, %v", status, err)
	}
	for _, a := range answer.Model.Aliases {
		if a.Alias == "champion" {
			return a.Version
		}
	}
	return ""
}

// TestOutageOfTheRegistry kills MLflow in the middle of a first sync, of a promotion made here and of one made there, while
// applicants come: they are decided as if nothing was, the outage is seen, and both registries are equal again by themselves.
func TestOutageOfTheRegistry(t *testing.T) {
	server := mlflowtest.Start(t)
	network := proxytest.Start(t)
	network.To(strings.TrimPrefix(server.URL, "http://"))
	network.Slow(100*time.Millisecond, 0) // so that a sync has a middle
	dir := t.TempDir()
	trainTwo(t, dir)
	there := inMLflow{t, server.URL, "registry-outage"}
	p := start(t, dir, "--mlflow", "http://"+network.Addr(), "--set", "mlflow.every=1s", "--set", "mlflow.model="+there.model)
	c := newCrowd(p.base)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.come(ctx, crowdRate) })
	leave := func() { cancel(); running.Wait() }
	t.Cleanup(leave)

	mirror := func() (m api.Mirror) {
		t.Helper()
		if status, err := call(http.MethodGet, p.base+"/api/v1/models/mirror", nil, &m); err != nil || status != http.StatusOK {
			t.Fatalf("the mirror: %d, %v", status, err)
		}
		return m
	}
	behind := func() bool {
		_, metrics := get(t, p.base+"/metrics")
		return strings.Contains(metrics, "\naura_mlflow_behind 1\n")
	}
	promote := func(version int) {
		t.Helper()
		if status, err := call(http.MethodPost, fmt.Sprintf("%s/api/v1/models/%d/promote", p.base, version), map[string]string{"reason": "a test"}, nil); err != nil || status != http.StatusOK {
			t.Fatalf("promotion: %d, %v", status, err)
		}
	}
	// decidedBy is the version that decides now.
	decidedBy := func() int {
		t.Helper()
		id := fmt.Sprintf("asks-%d", c.n.Add(1))
		var r sighting
		if status, err := call(http.MethodPost, p.base+"/api/v1/applications", rawJSON(application(id, 700)), &r); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d, %v", id, status, err)
		}
		c.book.decided(id, r)
		return r.ModelVersion
	}
	killed := func(name string, champion int) {
		t.Helper()
		server.Stop(t)
		c.told()
		until(t, time.Minute, name+": the outage is seen", func() string {
			if m := mirror(); m.Equal || m.Problem == "" || !behind() {
				return fmt.Sprintf("%+v, behind %v", m, behind())
			}
			return ""
		})
		if v := decidedBy(); v != champion {
			t.Errorf("%s: decided by version %d, want %d", name, v, champion)
		}
		server.Restart(t) // takes some seconds
		answers, words := c.told()
		for status := range answers {
			if status != http.StatusOK && status != http.StatusAccepted {
				t.Errorf("%s: answers %s", name, words)
			}
		}
		t.Logf("%s: answers meanwhile %s", name, words)
	}
	equal := func(name string, champion string) {
		t.Helper()
		back := time.Now()
		until(t, time.Minute, name+": both are equal", func() string {
			if m := mirror(); !m.Equal || m.Versions != 2 || behind() {
				return fmt.Sprintf("%+v, behind %v", m, behind())
			}
			if v := there.versions(); there.champion() != v[champion] {
				return fmt.Sprintf("champion %s of %v there", there.champion(), v)
			}
			return ""
		})
		t.Logf("%s: equal %v after the server was ready", name, time.Since(back).Round(time.Millisecond))
	}

	until(t, time.Minute, "one of two versions is there", func() string {
		if n := len(there.versions()); n != 1 {
			return fmt.Sprint(n)
		}
		return ""
	})
	killed("killed during the first sync", 1)
	equal("after the first sync", "1")

	promote(2) // the sync that it sets off needs several calls
	killed("killed during a promotion", 2)
	equal("after a promotion", "2")

	alias := map[string]string{"name": there.model, "alias": "champion", "version": there.versions()["1"]}
	if status, err := call(http.MethodPost, server.URL+"/api/2.0/mlflow/registered-models/alias", alias, nil); err != nil || status != http.StatusOK {
		t.Fatalf("the alias: %d, %v", status, err)
	}
	server.Stop(t)
	server.Restart(t)
	equal("after a promotion made there", "1")
	if v := decidedBy(); v != 1 {
		t.Errorf("decided by version %d after a promotion made in MLflow", v)
	}

	leave()
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	checkBook(t, dir, c.book)
	checkHealing(t, dir)
}
