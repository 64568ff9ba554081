package mlflow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRequirementsAreWhatIsTested: a logged model asks for the very versions that `.ci/run mlflow` loads it with.
func TestRequirementsAreWhatIsTested(t *testing.T) {
	tested, err := os.ReadFile(filepath.Join("..", "..", "..", ".ci", "python", "requirements.in"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.Replace(string(tested), "mlflow-skinny==", "mlflow==", 1), "\n")
	for _, want := range requirements {
		if !slices.Contains(lines, want) {
			t.Errorf("%s is not among what is tested", want)
		}
	}
}
