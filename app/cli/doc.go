// Package cli is AURA's command line: the tree of commands, their flags, what they print and how they exit.
//
// It owns no behaviour of the server. Commands that start something (run, train, bench) are functions given in Commands;
// commands that talk to a running server do so over its HTTP API, found by --server, AURA_SERVER or the file aura.addr
// in the data directory. It imports app/config and web/api (wire types), and nothing else of ours, so that app may use
// its types.
//
// stdout carries data only, as a table or as one JSON document (-o json); words, progress and errors go to stderr.
// Every error says what to do. Exit codes are the constants below and part of the contract. The first interrupt cancels
// the context that commands get, the second ends the process at once.
//
// Main may be called from any goroutine, and more than once; it doesn't touch the process but for signals, and for
// os.Exit at the second of them. Tests call it, or execute with an environment of their own.
package cli
