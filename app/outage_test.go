package app_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
)

// openIncidents names the incidents that are not over; both databases answer it.
func openIncidents(db *sql.DB) (string, error) {
	found, err := texts(db, "SELECT incident_type || ' ' || state FROM incidents WHERE status IN ('OPEN', 'MITIGATING')")
	return strings.Join(found, ", "), err
}

// texts reads one column of text.
func texts(db *sql.DB, query string) (found []string, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// nothingWasDone stops a process after an outage and fails where an action was executed or an agent started again. It returns
// the kinds of incidents that there were.
func nothingWasDone(t *testing.T, p *process, db *sql.DB) []string {
	t.Helper()
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	kinds, err := texts(db, "SELECT DISTINCT incident_type FROM incidents")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(kinds)
	var actions, restarts int
	err = db.QueryRow("SELECT (SELECT COUNT(*) FROM executed_actions), (SELECT COUNT(*) FROM agent_incarnations WHERE incarnation > 1)").Scan(&actions, &restarts)
	if err != nil || actions != 0 || restarts != 0 {
		t.Errorf("%d needless actions, %d agents restarted, incidents of %q, %v\n%s", actions, restarts, kinds, err, tail(p.out.String(), 40))
	}
	return kinds
}
