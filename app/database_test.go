package app_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// servers holds the address of the database of each data directory whose rows are on a server.
var servers sync.Map

// serverOf is the address of the database of a data directory, "" for the file in it.
func serverOf(dir string) string {
	address, _ := servers.Load(dir)
	text, _ := address.(string)
	return text
}

// buses holds the arguments of each data directory whose process is on a broker.
var buses sync.Map

func busOf(dir string) []string {
	args, _ := buses.Load(dir)
	list, _ := args.([]string)
	return list
}

// database opens the rows of a data directory for reading beside the process that has it, if any.
func database(t *testing.T, dir string) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(dir, "aura.db")+"?mode=ro&_pragma=busy_timeout(5000)"
	if address := serverOf(dir); address != "" {
		driver, source = "pgx", address
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
