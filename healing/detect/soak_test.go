package detect

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSoak is a quiet service for as many hours as AURA_SOAK_HOURS says: no signal may become active. The default is
// two minutes.
func TestSoak(t *testing.T) {
	span := 2 * time.Minute
	if hours, err := strconv.ParseFloat(os.Getenv("AURA_SOAK_HOURS"), 64); err == nil {
		span = time.Duration(hours * float64(time.Hour))
	}
	for _, k := range []struct{ rows, validated int }{{12_000, 2000}, {800, 200}} {
		s := newService(t, 90, k.rows)
		s.desired.ValidatedN = k.validated
		for spent := time.Duration(0); spent < span; spent += step {
			s.run(step)
			if int64(spent/step)%10 == 0 {
				s.quiet()
			}
		}
	}
}
