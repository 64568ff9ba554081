package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"aura/app/config"
	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/web/api"
)

// TestTheRegistryIsMirrored: what is promoted here is promoted in MLflow and the other way round, and a server that is away
// delays no decision and is seen to be away.
func TestTheRegistryIsMirrored(t *testing.T) {
	t.Parallel()
	f := mlflowtest.NewFake(t)
	r := run(t, func(c *config.Config) { c.MLflow.URL, c.MLflow.Every = f.URL, time.Second })
	var m api.Mirror
	equal := func(champion string) {
		t.Helper()
		until(t, 20*time.Second, "MLflow has champion "+champion, func() string {
			r.must(http.StatusOK, http.MethodGet, "models/mirror", nil, &m)
			if !m.Equal || m.Versions != 2 || f.Alias("champion") != champion {
				return fmt.Sprintf("%+v, champion %q", m, f.Alias("champion"))
			}
			return ""
		})
	}
	equal("1")
	r.must(http.StatusOK, http.MethodPost, "models/2/promote", map[string]string{"reason": "better"}, nil)
	equal("2")
	f.Move("champion", "1")
	until(t, 20*time.Second, "the champion that was set in MLflow", func() string {
		if n := r.champion(); n != 1 {
			return fmt.Sprintf("version %d is in charge", n)
		}
		return ""
	})
	if d := r.decide("m"); d.ModelVersion != 1 {
		t.Errorf("decided by %+v", d)
	}
	var history any
	r.must(http.StatusOK, http.MethodGet, "models/history", nil, &history)
	if text := fmt.Sprint(history); !strings.Contains(text, "in MLflow") || !strings.Contains(text, "by:mlflow") {
		t.Errorf("the history doesn't tell who: %s", text)
	}
	f.Down(true)
	until(t, 20*time.Second, "that it is away is seen", func() string {
		_, page := get(t, r.URL())
		if !strings.Contains(page, "Decisions don’t wait for it") {
			return "nothing on the page"
		}
		return ""
	})
	r.decide("n")
	f.Down(false)
	equal("1")
}
