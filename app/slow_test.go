package app_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"aura/app/config"
)

// TestSlowCommitsLoseNoOutcome streams with a stage deadline that commits often pass, and outcomes that come before their
// decisions: an agent that is slow takes longer, and each outcome is published all the same, once.
func TestSlowCommitsLoseNoOutcome(t *testing.T) {
	t.Parallel()
	file := realData(t, "south_german_credit.csv")
	r := prepare(t, t.TempDir(), func(c *config.Config) {
		c.Schema.File, c.Source.File = filepath.Join("..", "examples", "south_german.yaml"), file
		c.Source.Rate, c.Source.TrainShare, c.Training.Trees = 0, 0.2, 10
		c.Agents.StageDeadline, c.Agents.Grace = 10*time.Millisecond, time.Second
	})
	heard := r.hearFeedback(t)
	r.begin()
	until(t, time.Minute, "800 outcomes on the bus", func() string {
		if n := heard.n(); n < 800 {
			return fmt.Sprintf("%d heard, %d joined in the store, %d early", n, r.count(`SELECT COUNT(*) FROM feedback WHERE kind = 'joined'`),
				r.count(`SELECT COUNT(*) FROM feedback WHERE kind = 'early'`))
		}
		return ""
	})
	r.stop()
	for id, outcomes := range heard.outcomes {
		if len(outcomes) != 1 {
			t.Errorf("%d outcomes were published for %s", len(outcomes), id)
		}
	}
	checkBook(t, r.dir, newBook())
}
