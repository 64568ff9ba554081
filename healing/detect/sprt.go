package detect

import "math"

// SPRT is Wald's test of "still broken" against "healthy" on data from after an action: LLR grows with each good sample.
// It tests rates of a bad event (slow, wrong, failed). Formula: detection reference §G.
type SPRT struct {
	// Broken and Healthy are the rates of the bad event that are told apart.
	Broken  float64 `json:"broken"`
	Healthy float64 `json:"healthy"`
	LLR     float64 `json:"llr"`
	N       int64   `json:"n"`
	Bad     int64   `json:"bad"`
}

// NewSPRT returns a test of two rates in (0, 1), broken > healthy.
func NewSPRT(broken, healthy float64) SPRT { return SPRT{Broken: broken, Healthy: healthy} }

// Step adds n samples of which bad were bad.
func (s *SPRT) Step(n, bad int64) {
	s.N += n
	s.Bad += bad
	s.LLR += float64(n-bad)*math.Log((1-s.Healthy)/(1-s.Broken)) + float64(bad)*math.Log(s.Healthy/s.Broken)
}

// Accepts reports whether the samples say healthy, with a chance of at most alpha to say so of a broken service.
func (s *SPRT) Accepts(alpha float64) bool { return s.LLR >= math.Log(1/alpha) }

// Rejects reports whether the samples say still broken, with a chance of at most beta to say so of a healthy one.
func (s *SPRT) Rejects(beta float64) bool { return s.LLR <= -math.Log(1/beta) }
