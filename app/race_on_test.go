//go:build race

package app_test

// raceDetector says that the detector slows everything down tenfold (SQLite is Go too): less is streamed then.
const raceDetector = true
