package app_test

// bug is a mistake that somebody might make: one piece of the source replaced by another, and the test that must notice.
type bug struct {
	name     string
	file     string // below the repository's root
	old, new string
	pkg      string
	test     string // a pattern for go test -run
	rapid    bool   // the test is one of rapid, which would keep what made it fail beside the source
}

// bugs are the planted ones. Each text must stand in its file exactly once: whoever changes the code changes the bug too.
var bugs = []bug{
	{
		name: "PSI on the wrong bins: left-closed where the reference is right-closed",
		file: "healing/detect/column.go", old: "	if edge < x {\n		n = 1", new: "	if edge <= x {\n		n = 1",
		pkg: "./healing/detect", test: "^TestBinAgreesWithAPlainSearch$", rapid: true,
	},
	{
		name: "PSI on the wrong bins: the sample's counts by the fine bins, the reference's by deciles",
		file: "healing/detect/verify_drift.go", old: "c.grouped(wide[:bins])", new: "wide[:len(c.grouped(c.Counts))]",
		pkg: "./healing/detect", test: "^TestComparisonIsThePlainPSI$",
	},
	{
		name: "verification that reads stale data: also what was accepted before the action",
		file: "healing/detect/verify.go", old: "return !k.Accepted.Before(v.Since) && k.Shadow", new: "return k.Shadow",
		pkg: "./agents/monitoring", test: "^TestVerificationIsAnsweredOnDataFromAfterTheAction$",
	},
	{
		name: "verification that believes a verdict on data from before the action",
		file: "healing/incident/absorb.go", old: "v.N <= 0 || v.From.Before(a.ExecutedAt) || v.ObservedAt", new: "v.N <= 0 || v.ObservedAt",
		pkg: "./healing/incident", test: "^TestTimeoutAndSilenceAreNoSuccess$",
	},
	{
		name: "verification that takes silence for success",
		file: "healing/incident/table.go", old: "Guard: (*step).expired, To: Undoing, Do: (*step).undoUnverified", new: "Guard: (*step).expired, To: Degraded, Do: (*step).settle",
		pkg: "./agents/healing", test: "^TestSilenceIsNoSuccess$",
	},
	{
		name: "executor that skips the digest",
		file: "healing/policy/envelope.go", old: "	case e.Digest != want.Action.Digest():\n		return Envelope{}, ErrDigest\n", new: "",
		pkg: "./agents/healing", test: "^TestOnlyASignedDecisionExecutes$",
	},
	{
		name: "executor that takes any signature under the name of a known key",
		file: "healing/policy/envelope.go", old: "if !ed25519.Verify(key,", new: "if len(key) == 0 && !ed25519.Verify(key,",
		pkg: "./agents/healing", test: "^TestTenThousandForgeries$",
	},
	{
		name: "a decision that can be used twice",
		file: "store/execute.go", old: "if err == nil && !fresh {", new: "if err == nil && !fresh && p.Nonce == \"\" {",
		pkg: "./agents/healing", test: "^TestAReplayedDecisionExecutesNothing$",
	},
	{
		name: "an action that takes effect each time it is executed",
		file: "store/execute.go", old: "if err != nil || done.Repeated {", new: "if err != nil {",
		pkg: "./store", test: "^TestSQLiteHealing$",
	},
	{
		name: "safe mode that reaches the model agent only",
		file: "agents/decision/decision.go", old: "	if o.View.Current().Mode == event.ModeSafe {\n		return batch\n	}\n	return nil", new: "	_ = o.View\n	return nil",
		pkg: "./app", test: "^TestSafeModeGoesRoundTheModel$/CRASHED/memory",
	},
	{
		name: "the epoch of the lease is not checked",
		file: "store/lease.go", old: "if row.Epoch != epoch || epoch == 0 ||", new: "if epoch == 0 ||",
		pkg: "./store", test: "^TestSQLiteHealing$",
	},
	{
		name: "an undo that restores nothing",
		file: "agents/healing/run.go", old: "if err == nil && took && a.Inverse != nil {", new: "if err == nil && took && a.Inverse != nil && a.ID == \"\" {",
		pkg: "./agents/healing", test: "^TestSafeModeThatDoesNotHelpIsLeft$",
	},
	{
		name: "memory that credits actions for faults that ended by themselves",
		file: "healing/memory/memory.go", old: "return !o.SelfRecovered && o.ActionID", new: "return o.ActionID",
		pkg: "./healing/memory", test: "^TestSelfRecoveryEarnsNoCredit$",
	},
	{
		name: "what was approved is executed although the cause has gone",
		file: "healing/incident/obstacle.go", old: "return cmp.Or(x.heldBack(), x.notConfirmed())", new: "return x.heldBack()",
		pkg: "./healing/incident", test: "^TestTheCauseIsTestedAgainBeforeActing$",
	},
	{
		name: "a restart that executes what was handed over before, whether or not it is still needed",
		file: "agents/healing/core.go", old: "if in.State != incident.Executing {", new: "if in.State == incident.Executing {",
		pkg: "./agents/healing", test: "^TestAFaultThatDiesWithTheProcess$",
	},
	{
		name: "governance that believes whoever says that it is an undo",
		file: "agents/governance/decide.go", old: "row.IncidentID != r.IncidentID || inverse.Digest() != r.Digest", new: "false",
		pkg: "./agents/governance", test: "^TestUndoOfWhatWasDone$",
	},
	{
		name: "an approval that comes after its time",
		file: "store/policy.go", old: "case expired && d.Verdict != AGLDenied:", new: "case expired && d.Verdict == \"\":",
		pkg: "./store", test: "^TestSQLiteHealing$/^RequestsAndVerdicts$",
	},
	{
		name: "an audit whose hash leaves out what was done",
		file: "store/audit.go", old: "e.Actor, e.Kind, e.Subject, string(e.Detail),\n	} {", new: "e.Actor, e.Kind, e.Subject,\n	} {",
		pkg: "./store", test: "^TestAuditNamesTheBrokenRecord$",
	},
	{
		name: "metrics that count a recovery again when safe mode is left",
		file: "app/telemetry_loop.go", old: "case after.ResolvedAt.IsZero() || after.ResolvedAt.Equal(before.ResolvedAt):", new: "case after.ResolvedAt.IsZero():",
		pkg: "./app", test: "^TestLoopTelemetry$",
	},
	{
		name: "metrics by path, of which a client can make as many as it likes",
		file: "web/metrics.go", old: "route = c.RoutePattern()", new: "route = r.URL.Path",
		pkg: "./app", test: "^TestMetrics$",
	},
}
