package app

import (
	"strings"
	"testing"

	"aura/app/config"
	"aura/mlops/schema"
)

// TestCheckRefusesWhatRunRefuses: a selection of agents that can't decide anything is known before the start.
func TestCheckRefusesWhatRunRefuses(t *testing.T) {
	const server = "postgres://aura_user@db.example/aura_db"
	for _, c := range []struct {
		bus, db, file string
		agents        []string
		want          string
	}{
		{"memory", "", "", nil, ""},
		{"memory", "", "", pipeline, ""},
		{"memory", "", "", []string{"foo"}, `there is no agent "foo"`},
		{"memory", "", "", []string{"model"}, "missing: ingestion, feature, decision"},
		{"memory", server, "", []string{"model"}, "on the memory bus"},
		{"kafka", "", "", []string{"model", "web"}, "with --db"},
		{"kafka", server, "", []string{"foo"}, `there is no agent "foo"`},
		{"kafka", server, "", []string{"model"}, ""},
		{"kafka", server, "", []string{"monitoring", "healing"}, ""},
		{"kafka", server, "rows.csv", []string{"model"}, "source.file"},
		{"kafka", server, "rows.csv", []string{"ingestion", "web"}, ""},
	} {
		cfg := config.Default()
		cfg.Bus.Kind, cfg.Store.URL, cfg.Source.File, cfg.Agents.Select = c.bus, c.db, c.file, c.agents
		err := Check(cfg)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q, %v: %v", c.bus, c.db, c.agents, err)
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
