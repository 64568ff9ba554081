package cli

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestAnotherUsersDirectory: what can't be read is not said not to be there. Root may read everything, so its thread takes the
// rights of another user to files; it ends with the test, as it is never unlocked.
func TestAnotherUsersDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	o := make(chan outcome)
	go func() {
		defer close(o)
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		o <- tryIn(t, t.Context(), "", Commands{}, nil, "mode", "show", "--data", dir)
	}()
	got := <-o
	if got.code != ExitDenied || !strings.Contains(got.err, "permission denied") || !strings.Contains(got.err, "the user of the server") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}
