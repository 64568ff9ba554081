package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestAnOutcomeOutlivesAKill kills the real process with outcomes that are answered and not yet noted as announced: the next
// life announces them.
func TestAnOutcomeOutlivesAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir)
	const n = 20
	for i := range n {
		if status, err := call(http.MethodPost, p.base+"/api/v1/applications", json.RawMessage(application(fmt.Sprint("o", i), 700)), nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	for i := range n {
		if status, err := call(http.MethodPost, p.base+"/api/v1/feedback",
			map[string]string{"application_id": fmt.Sprint("o", i), "outcome": "repaid", "observed_at": "2026-11-25T10:00:00Z"}, nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	p.kill()
	left := func() (n int) {
		db := database(t, dir)
		if err := db.QueryRow(`SELECT COUNT(*) FROM feedback WHERE to_announce = 1`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		return n
	}
	if left() == 0 {
		t.Fatal("everything was noted before the kill; the test tests nothing")
	}
	p = start(t, dir, "--set", "sweep.min_age=1s")
	until(t, 20*time.Second, "every outcome announced", func() string {
		if n := left(); n > 0 {
			return fmt.Sprintf("%d are not", n)
		}
		return ""
	})
	if err := p.interrupt(t); err != nil {
		t.Error(err)
	}
}
