package app_test

import (
	"database/sql"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"testing"
	"time"

	"aura/app/config"
)

// realData names a file of real credit data, and skips where it is not there.
func realData(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the data set is not here: %v", err)
	}
	return path
}

// streamed is one whole run of a bank's file.
type streamed struct {
	schema, file, label string
	trees               int
	share               float64
	// leastAUC and leastAccuracy are what the decided half must reach: below scikit-learn's forest on all columns by what
	// half of the rows, no protected column and fewer trees cost.
	leastAUC, leastAccuracy float64
}

// TestTaiwan is the main job: 30,000 rows of a real bank, half of them trained on, half streamed as fast as it goes; all
// are decided, every outcome is joined, and the decisions are worth something.
func TestTaiwan(t *testing.T) {
	t.Parallel()
	stream(t, streamed{
		schema: "taiwan.yaml", file: realData(t, "uci_default_of_credit_card_clients.csv"), label: "default",
		trees: 40, share: 0.5, leastAUC: 0.76, leastAccuracy: 0.80,
	})
}

// TestSouthGerman does the same with 1,000 rows of categories.
func TestSouthGerman(t *testing.T) {
	t.Parallel()
	stream(t, streamed{
		schema: "south_german.yaml", file: realData(t, "south_german_credit.csv"), label: "default",
		trees: 100, share: 0.5, leastAUC: 0.72, leastAccuracy: 0.70,
	})
}

func stream(t *testing.T, s streamed) {
	if testing.Short() && s.share < 0.9 { // beside the race detector SQLite, which is Go too, is ten times as slow
		s.share = 0.9
		s.leastAUC, s.leastAccuracy = s.leastAUC-0.1, s.leastAccuracy-0.1 // few rows tell little
	}
	rows, bad := countRows(t, s.file, s.label)
	began := time.Now()
	r := prepare(t, t.TempDir(), func(c *config.Config) {
		c.Schema.File, c.Source.File = filepath.Join("..", "examples", s.schema), s.file
		c.Source.Rate, c.Source.TrainShare, c.Source.OutcomeDelay = 0, s.share, 0
		c.Training.Trees = s.trees
		c.Agents.StageDeadline, c.Agents.Grace = time.Second, 500*time.Millisecond
	})
	heard := r.hearFeedback(t)
	r.begin()
	trained := time.Since(began)
	live := rows - int(s.share*float64(rows))
	db := r.db()
	until(t, 3*time.Minute, "all rows decided and joined", func() string {
		var decided, joined int
		if err := db.QueryRow(`SELECT (SELECT COUNT(*) FROM decisions), (SELECT COUNT(*) FROM feedback WHERE kind = 'joined')`).Scan(&decided, &joined); err != nil {
			t.Fatal(err)
		}
		if decided < live || joined < live {
			return fmt.Sprintf("%d decided and %d joined of %d", decided, joined, live)
		}
		return ""
	})
	t.Logf("%d rows trained in %s, %d streamed in %s", rows-live, trained.Round(time.Millisecond), live, (time.Since(began) - trained).Round(time.Millisecond))
	for query, want := range map[string]int{
		`SELECT COUNT(*) FROM applications`:        live,
		`SELECT COUNT(*) FROM decisions`:           live,
		`SELECT COUNT(DISTINCT id) FROM decisions`: live,
		`SELECT COUNT(*) FROM decisions WHERE mode = 'MODEL' AND rule = '' AND probability_of_default >= 0`:       live,
		`SELECT COUNT(*) FROM feedback WHERE kind <> 'joined'`:                                                    0,
		`SELECT COUNT(*) FROM applications WHERE source <> 'csv'`:                                                 0,
		`SELECT COUNT(*) FROM decisions WHERE decision <> 'APPROVE' AND json_array_length(reasons) = 0`:           0,
		`SELECT COUNT(*) FROM decisions WHERE json_array_length(reasons) > 4`:                                     0,
		`SELECT COUNT(*) FROM decisions WHERE decision NOT IN ('APPROVE', 'REFER', 'DECLINE')`:                    0,
		`SELECT COUNT(*) FROM feedback f WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = f.application)`: 0,
	} {
		if n := r.count(query); n != want {
			t.Errorf("%d, want %d: %s", n, want, query)
		}
	}
	// The outcome of a row comes at once, mostly before its decision: it is early then, and joined later.
	if n := r.metric(`aura_feedback_total{kind="joined"}`) + r.metric(`aura_feedback_total{kind="early"}`); int(n) != live {
		t.Errorf("%v outcomes are counted as joined or early, want %d", n, live)
	}
	auc, accuracy, defaulted := quality(t, db)
	t.Logf("AUC %.4f, accuracy %.4f, %d of %d defaulted", auc, accuracy, defaulted, live)
	if auc < s.leastAUC || accuracy < s.leastAccuracy {
		t.Errorf("AUC %.4f and accuracy %.4f, want at least %.2f and %.2f", auc, accuracy, s.leastAUC, s.leastAccuracy)
	}
	if share, whole := float64(defaulted)/float64(live), float64(bad)/float64(rows); share < whole*0.9 || share > whole*1.1 {
		t.Errorf("%.3f of the streamed outcomes are defaults, in the file it is %.3f", share, whole)
	}
	var approved, declined float64 // default rates
	if err := db.QueryRow(`SELECT AVG(CASE WHEN d.decision = 'APPROVE' THEN f.outcome = 'defaulted' END),
		AVG(CASE WHEN d.decision = 'DECLINE' THEN f.outcome = 'defaulted' END)
		FROM decisions d JOIN feedback f ON f.application = d.id`).Scan(&approved, &declined); err != nil {
		t.Fatal(err)
	}
	if approved >= declined {
		t.Errorf("of the approved %.3f defaulted, of the declined %.3f", approved, declined)
	}
	_ = db.Close()
	until(t, time.Minute, "all outcomes published", func() string {
		if n := heard.n(); n < live {
			return fmt.Sprintf("%d of %d heard", n, live)
		}
		return ""
	})
	r.stop()
	again := 0
	for id, outcomes := range heard.outcomes { // at least once: what isn't noted in time on a busy machine is said again
		if again += len(outcomes) - 1; len(slices.Compact(outcomes)) != 1 {
			t.Fatalf("different outcomes were published for %s: %v", id, outcomes)
		}
	}
	most := live / 10
	if testing.Short() { // beside other packages its store is several seconds behind
		most = live / 2
	}
	if again > most {
		t.Errorf("%d of %d outcomes were published again", again, live)
	}
	if n := len(heard.outcomes); n != live {
		t.Errorf("outcomes of %d applications were published, want %d", n, live)
	}
	checkBook(t, r.dir, newBook())
}

// countRows counts the rows of a CSV file, and those whose label is 1, without AURA's own reader.
func countRows(t *testing.T, file, label string) (rows, bad int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := -1
	for i, name := range all[0] {
		if name == label {
			column = i
		}
	}
	if column < 0 {
		t.Fatalf("no column %s in %v", label, all[0])
	}
	for _, row := range all[1:] {
		if row[column] == "1" {
			bad++
		}
	}
	return len(all) - 1, bad
}

// quality compares what was predicted with what came: the AUC by ranks (ties count half), and the accuracy at 0.5.
func quality(t *testing.T, db *sql.DB) (auc, accuracy float64, defaulted int) {
	t.Helper()
	r, err := db.Query(`SELECT d.probability_of_default, f.outcome = 'defaulted'
		FROM decisions d JOIN feedback f ON f.application = d.id WHERE f.kind = 'joined'`)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	type pair struct {
		p   float64
		bad bool
	}
	var all []pair
	right := 0
	for r.Next() {
		var x pair
		if err := r.Scan(&x.p, &x.bad); err != nil {
			t.Fatal(err)
		}
		if (x.p >= 0.5) == x.bad {
			right++
		}
		all = append(all, x)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].p < all[j].p })
	ranks := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].p == all[i].p {
			j++
		}
		for _, x := range all[i:j] {
			if x.bad {
				defaulted++
				ranks += float64(i+j+1) / 2
			}
		}
		i = j
	}
	n1, n0 := float64(defaulted), float64(len(all)-defaulted)
	return (ranks - n1*(n1+1)/2) / (n1 * n0), float64(right) / float64(len(all)), defaulted
}
