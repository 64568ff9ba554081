//go:build !linux

// Package pgtest runs a real PostgreSQL server for tests; this system has none of its recipe.
package pgtest

import "testing"

// Role and Password are those of all databases.
const Role, Password = "aura_user", "p@ss word/%?#"

// Server is a running PostgreSQL.
type Server struct{}

// Start skips the test.
func Start(t testing.TB, _ ...string) *Server {
	t.Helper()
	t.Skip("the tests on PostgreSQL run on Linux")
	return nil
}

// The rest is never called.
func (*Server) Restart(testing.TB)                     {}
func (*Server) Kill(testing.TB)                        {}
func (*Server) Database(testing.TB) string             { return "" }
func (*Server) DatabaseLike(testing.TB, string) string { return "" }
func (*Server) Addr() string                           { return "" }
func (*Server) Psql(testing.TB, string, string) string { return "" }
