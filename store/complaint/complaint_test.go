package complaint

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAComplaintIsSaidNowAndThen: the first failure at once, those that follow once in ten seconds, and none is lost from
// the count.
func TestAComplaintIsSaidNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		var c Log
		for range 250 { // 25 s
			c.Say(log, slog.LevelWarn, "it fails", "code", "disk_full")
			time.Sleep(100 * time.Millisecond)
		}
		var counts []string
		for line := range strings.Lines(said.String()) {
			_, n, _ := strings.Cut(strings.TrimSpace(line), "failed_since_last=")
			counts = append(counts, n)
		}
		if got := strings.Join(counts, " "); got != "1 100 100" {
			t.Errorf("said with the counts %q:\n%s", got, &said)
		}
	})
}
