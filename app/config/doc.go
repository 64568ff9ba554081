// Package config is what one may set about AURA: the Config struct, how it is loaded, where each value came from, and
// what is refused.
//
// A key is the path of a leaf of Config, written with dots (http.addr). Each key can stand in the file, in the
// environment (AURA_HTTP_ADDR: upper case, dots and nothing else become underscores) and on the command line
// (--set http.addr=…, or a flag of its own). Flag beats environment beats file beats default, key by key; a list is
// replaced as a whole. An unknown key is an error, with the nearest known one named; so is a value of the wrong type or
// out of bounds. All that is wrong is reported at once, each with key, value, origin and remedy (Errors, exit code 3).
//
// Load reads the file, the file of principals that it names and the environment it is given, nothing else; it starts
// nothing, and what it returns is a value that may be shared freely. Tests call Load with Options.Environ and Options.Dir
// set, so that nothing of the machine they run on leaks in.
package config
