package incident

import "time"

// narrowed are the rung's times as the parameters that a decision bound make them: never wider.
func (r Rung) narrowed(params map[string]string) Rung {
	sooner := func(own *time.Duration, name string) {
		if d, err := time.ParseDuration(params[name]); err == nil && d > 0 && (*own <= 0 || d < *own) {
			*own = d
		}
	}
	sooner(&r.ExecuteTTL, "execute_within")
	sooner(&r.VerifyTTL, "verify_within")
	if d, err := time.ParseDuration(params["dwell"]); err == nil && d > r.Dwell {
		r.Dwell = d
	}
	return r
}

// Bounds are the times that an action is held to: to take effect, to be shown to help, and healthy before that counts.
func (in Incident) Bounds(a Action) (execute, verify, dwell time.Duration) {
	r := in.rungOf(&a)
	execute, verify = r.ExecuteTTL, r.VerifyTTL
	if execute <= 0 {
		execute = in.Settings.ExecuteTTL
	}
	if verify <= 0 {
		verify = in.Settings.VerifyTTL
	}
	return execute, verify, r.Dwell
}
