// Package json compares ways to write and read the events of the data path: encoding/json, what AURA does (event.Marshal,
// event.Unmarshal), and the libraries that are kept and need no cgo. It is a module of its own, so that these libraries are none
// of the program's.
//
//	go -C deploy/bench/json test -bench . -count 5                          cpu-ns/op is what to compare on a busy machine
//	GOEXPERIMENT=jsonv2 go -C deploy/bench/json test -bench Chain/encoding  encoding/json on its second implementation
//
// easyjson is not among them: the code that it generates writes the fields of an embedded struct last and some numbers with
// fewer digits, so it can't have the same wire form.
package json
