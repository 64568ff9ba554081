// Package detect judges whether the service is healthy: statistics, sequential detectors, and the rules people know.
//
// It owns the reference that monitoring compares with, the counts (sketches) that pipeline agents fill, the detectors
// that read them slot by slot, the signals that come out, the naming of data bugs, the ranking of causes and the
// verification of a healing. It is pure: no bus, no database, no files, no clock, no goroutine; time is an argument and
// every state is a plain value with a JSON form. It imports the standard library only. Nothing here is safe for use by
// two goroutines at once: each lane fills counts of its own, and they merge.
//
// Ordering: Monitor.Step takes slots in the order of their times. Blocking: nothing blocks.
//
// Two tiers (DESIGN D5): a sequential detector, whose false alarms are bounded by a theorem, makes a signal SUSPECT;
// the rule that people know (PSI > 0.2, median > 300 ms, accuracy below its floor, heartbeat missing) makes it
// CONFIRMED. No data is UNKNOWN, never HEALTHY.
//
// How to test: the formulas agree with reference vectors to 1e-9; the false-alarm rate, the delays and the hysteresis
// are simulated with printed seeds. Formulas and their limits: Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532.
package detect
