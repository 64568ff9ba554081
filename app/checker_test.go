package app_test

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"

	_ "modernc.org/sqlite"
)

// sighting is a decision as a client was told.
type sighting struct {
	ID            string   `json:"id"`
	ApplicationID string   `json:"application_id"`
	Decision      string   `json:"decision"`
	Probability   *float64 `json:"probability_of_default"`
	ModelVersion  int      `json:"model_version"`
	Mode          string   `json:"mode"`
	Rule          string   `json:"rule"`
}

// facts is what of a decision must never change.
func (s sighting) facts() string {
	p := "none"
	if s.Probability != nil {
		p = fmt.Sprintf("%.17g", *s.Probability)
	}
	return fmt.Sprintf("%s %s %s v%d %s %q", s.ID, s.Decision, p, s.ModelVersion, s.Mode, s.Rule)
}

// book is what clients were told: which applications are accepted, and each decision that was seen.
type book struct {
	mu     sync.Mutex
	seen   map[string]string // application id -> facts, "" while only accepted
	errors []string
}

func newBook() *book { return &book{seen: map[string]string{}} }

func (b *book) accepted(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.seen[id]; !ok {
		b.seen[id] = ""
	}
}

func (b *book) decided(id string, s sighting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := b.seen[id]; before != "" && before != s.facts() {
		b.errors = append(b.errors, fmt.Sprintf("%s was told two decisions: %s and %s", id, before, s.facts()))
	}
	b.seen[id] = s.facts()
}

func (b *book) wrong(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, fmt.Sprintf(format, args...))
}

// checkBook compares the book with the database of a process that has ended.
func checkBook(t *testing.T, dir string, b *book) {
	t.Helper()
	db := database(t, dir)
	problems := slices.Clone(b.errors)
	problems = append(problems, compare(t, db, b)...)
	problems = append(problems, undecided(t, db)...)
	problems = append(problems, stale(t, db, serverOf(dir) != "")...)
	for i, p := range problems {
		if i == 20 {
			t.Errorf("and %d more", len(problems)-i)
			break
		}
		t.Error(p)
	}
	var all int
	if err := db.QueryRow("SELECT COUNT(*) FROM applications").Scan(&all); err != nil || all == 0 {
		t.Errorf("%d applications in the database, %v", all, err)
	}
	t.Logf("%d applications checked, %d of them against what clients were told: %d problems", all, len(b.seen), len(problems))
}

// compare looks for accepted applications without a decision, with two, or with another than the one that was told.
func compare(t *testing.T, db *sql.DB, b *book) (problems []string) {
	t.Helper()
	stored := map[string][]string{}
	for s := range rows(t, db, `SELECT d.id, a.client_id, d.decision, d.probability_of_default, d.model_version, d.mode, d.rule
		FROM decisions d JOIN applications a ON a.id = d.id`) {
		stored[s.ApplicationID] = append(stored[s.ApplicationID], s.facts())
	}
	for id, told := range b.seen {
		got := stored[id]
		switch {
		case len(got) == 0:
			problems = append(problems, "lost: "+id+" was accepted and has no decision")
		case len(got) > 1:
			problems = append(problems, fmt.Sprintf("decided twice: %s: %v", id, got))
		case told != "" && told != got[0]:
			problems = append(problems, fmt.Sprintf("changed: %s was told %s, stored is %s", id, told, got[0]))
		}
	}
	return problems
}

func rows(t *testing.T, db *sql.DB, query string) func(yield func(sighting) bool) {
	return func(yield func(sighting) bool) {
		r, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for r.Next() {
			var s sighting
			var client sql.NullString
			if err := r.Scan(&s.ID, &client, &s.Decision, &s.Probability, &s.ModelVersion, &s.Mode, &s.Rule); err != nil {
				t.Fatal(err)
			}
			s.ApplicationID = client.String
			if !yield(s) {
				return
			}
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func undecided(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var n int
	if err := db.QueryRow(`SELECT COUNT(*) FROM applications a WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.id = a.id)`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n > 0 {
		return []string{fmt.Sprintf("%d applications are committed and undecided after the drain", n)}
	}
	return nil
}

// stale looks for decisions committed under a mode or champion that had been replaced: in the order of their commit
// (rowid; on PostgreSQL the number of the transaction, which is given out under the lock of the generations), generations
// must never fall.
func stale(t *testing.T, db *sql.DB, server bool) (problems []string) {
	t.Helper()
	order := "rowid"
	if server {
		order = "xmin::text::bigint, ctid"
	}
	r, err := db.Query(`SELECT id, mode, rule, mode_generation, champion_generation FROM decisions ORDER BY ` + order)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lastMode, lastChampion int64
	for r.Next() {
		var id, mode, rule string
		var m, c int64
		if err := r.Scan(&id, &mode, &rule, &m, &c); err != nil {
			t.Fatal(err)
		}
		if rule == "TECHNICAL" {
			continue
		}
		if m < lastMode {
			problems = append(problems, fmt.Sprintf("stale: %s was committed in mode generation %d after %d", id, m, lastMode))
		}
		if mode == "MODEL" && c < lastChampion {
			problems = append(problems, fmt.Sprintf("stale: %s was committed by champion generation %d after %d", id, c, lastChampion))
		}
		lastMode, lastChampion = max(lastMode, m), max(lastChampion, c)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return problems
}
