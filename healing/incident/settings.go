package incident

import "time"

// Defaults are the settings of a machine on a laptop.
func Defaults() Settings {
	return Settings{
		StaleAfter: 3 * time.Second, SuspectedTTL: 10 * time.Minute, DetectedTTL: 10 * time.Minute,
		DecisionTTL: 30 * time.Second, ApprovalTTL: 10 * time.Minute, ApprovedTTL: 5 * time.Minute,
		ExecuteTTL: 30 * time.Second, VerifyTTL: time.Minute, UndoTTL: time.Minute,
		DegradedTTL: 30 * time.Minute, EscalatedTTL: time.Hour, ClearDwell: 2 * time.Second,
		CalledDwell: 15 * time.Second,
		// Longer than the 5 s of a fault that goes on and off, short enough for the model to be back 15 s after its end.
		RestoreDwell: 7 * time.Second, RestoreVerify: time.Second, RestoreRetry: time.Minute,
		RelapseWindow: 10 * time.Minute, MaxRelapses: 4, FlapWindow: 3 * time.Minute, MaxModeChanges: 3,
		MaxAsks: 3, Resend: 2 * time.Second,
	}
}

func (s Settings) withDefaults() Settings {
	d := Defaults()
	for _, f := range []struct{ have, def *time.Duration }{
		{&s.StaleAfter, &d.StaleAfter},
		{&s.SuspectedTTL, &d.SuspectedTTL},
		{&s.DetectedTTL, &d.DetectedTTL},
		{&s.DecisionTTL, &d.DecisionTTL},
		{&s.ApprovalTTL, &d.ApprovalTTL},
		{&s.ApprovedTTL, &d.ApprovedTTL},
		{&s.ExecuteTTL, &d.ExecuteTTL},
		{&s.VerifyTTL, &d.VerifyTTL},
		{&s.UndoTTL, &d.UndoTTL},
		{&s.DegradedTTL, &d.DegradedTTL},
		{&s.EscalatedTTL, &d.EscalatedTTL},
		{&s.ClearDwell, &d.ClearDwell},
		{&s.CalledDwell, &d.CalledDwell},
		{&s.RestoreDwell, &d.RestoreDwell},
		{&s.RestoreVerify, &d.RestoreVerify},
		{&s.RestoreRetry, &d.RestoreRetry},
		{&s.RelapseWindow, &d.RelapseWindow},
		{&s.FlapWindow, &d.FlapWindow},
		{&s.Resend, &d.Resend},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	for _, f := range []struct{ have, def *int }{{&s.MaxRelapses, &d.MaxRelapses}, {&s.MaxModeChanges, &d.MaxModeChanges}, {&s.MaxAsks, &d.MaxAsks}} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	return s
}
