package app

import (
	"strings"
	"testing"

	"aura/app/config"
	"aura/mlops/schema"
)

// TestCheckRefusesWhatRunRefuses: a selection of agents that can't decide anything is known before the start.
func TestCheckRefusesWhatRunRefuses(t *testing.T) {
	for _, c := range []struct {
		agents []string
		want   string
	}{
		{nil, ""},
		{pipeline, ""},
		{[]string{"foo"}, `there is no agent "foo"`},
		{[]string{"model"}, "missing: ingestion, feature, decision"},
	} {
		cfg := config.Default()
		cfg.Agents.Select = c.agents
		err := Check(cfg)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.agents, err)
		}
	}
}

// TestTrainNamesTheOtherDirectory: --data is a directory for the other commands, so somebody will name one here.
func TestTrainNamesTheOtherDirectory(t *testing.T) {
	_, err := trainingRows(t.Context(), config.Default(), schema.Builtin(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "is a directory") || !strings.Contains(err.Error(), "--dir") {
		t.Error(err)
	}
}
