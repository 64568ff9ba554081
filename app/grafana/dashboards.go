package grafana

import "fmt"

// All are the dashboards, by the name of their file.
func All() map[string]Dashboard {
	return map[string]Dashboard{"overview": overview(), "healing": healing(), "model": modelAndData(), "pipeline": pipeline()}
}

func at(v float64) *float64 { return &v }

// quantiles of a histogram, by further labels.
func quantiles(metric, by, legend string, qs ...float64) []Query {
	var out []Query
	if by != "" {
		by = ", " + by
	}
	for _, q := range qs {
		out = append(out, Query{
			fmt.Sprintf("histogram_quantile(%g, sum by (le%s) (rate(%s_bucket{$s}[$__rate_interval])))", q, by, metric),
			fmt.Sprintf("%sp%g", legend, 100*q),
		})
	}
	return out
}

// inTime is the share of the decisions of a range that took no longer than the objective.
func inTime(over string) string {
	return fmt.Sprintf(`sum(increase(aura_decision_duration_seconds_bucket{$s, le="0.3"}[%[1]s])) / sum(increase(aura_decision_duration_seconds_count{$s}[%[1]s]))`, over)
}

func overview() Dashboard {
	return Dashboard{
		UID: "aura-overview", Title: "AURA: overview", Description: "Whether applications are decided, in time, by whom, and whether anybody is needed.",
		Panels: []Panel{
			{Title: "In time, last hour", Description: "Share of decisions within 0.3 s; the objective is 99.9 %.", Kind: Stat, Unit: Ratio, Width: 4, Warn: at(.999), Under: true, Queries: []Query{{inTime("1h"), "in time"}}},
			{Title: "Error budget left", Description: "Of the 0.1 % of decisions that may be late in 30 days. Below zero it is overdrawn.", Kind: Stat, Unit: Ratio, Width: 4, Warn: at(0.1), Under: true, Queries: []Query{{"1 - (1 - (" + inTime("30d") + ")) / 0.001", "left"}}},
			{Title: "Incidents open", Description: "That are not over yet; safe mode that stands counts.", Kind: Stat, Unit: Count, Width: 4, Warn: at(1), Queries: []Query{{"max(sum by (instance) (aura_incidents_open{$s}))", "open"}}},
			{Title: "A person is needed", Description: "Incidents that a person was called for, and requests that wait for one.", Kind: Stat, Unit: Count, Width: 4, Warn: at(1), Queries: []Query{
				{`max(sum by (instance) (aura_incidents_open{$s, state="ESCALATED"}))`, "incidents"}, {"max(aura_approvals_waiting{$s})", "approvals"},
			}},
			{Title: "Champion", Description: "The version of the model in charge.", Kind: Info, Unit: Count, Width: 4, Queries: []Query{{"max by (version) (aura_champion_info{$s})", "version {{version}}"}}},
			{Title: "Build", Description: "What runs; more than one while a deployment is rolled out.", Kind: Info, Unit: Count, Width: 4, Queries: []Query{{"max by (version, commit, go) (aura_build_info{$s})", "{{version}} {{commit}} ({{go}})"}}},
			{Title: "Decisions", Description: "Written, by what was decided.", Kind: Stacked, Unit: PerSecond, Width: 12, Queries: []Query{{"sum by (outcome) (rate(aura_decisions_total{$s}[$__rate_interval]))", "{{outcome}}"}}},
			{Title: "Latency", Description: "From acceptance to decision, and the median as monitoring judges it: there what is late and undecided counts.", Kind: Lines, Unit: Seconds, Width: 12, Warn: at(.3), Queries: append(quantiles("aura_decision_duration_seconds", "", "", .5, .99), Query{"max(aura_decision_latency_median_seconds{$s})", "median, judged"})},
			{Title: "Who decides", Description: "The model, or the schema's rules in safe mode.", Kind: States, Unit: Count, Width: 12, Queries: []Query{{"max by (mode) (aura_mode{$s})", "{{mode}}"}}},
			{Title: "The loop", Description: "Whether healing acts: a person's pause stops it.", Kind: States, Unit: Count, Width: 12, Queries: []Query{{"max by (state) (aura_healing_state{$s})", "{{state}}"}}},
			{Title: "Accepted", Description: "Committed applications, by where they came from.", Kind: Stacked, Unit: PerSecond, Width: 8, Queries: []Query{{"sum by (source) (rate(aura_applications_accepted_total{$s}[$__rate_interval]))", "{{source}}"}}},
			{Title: "Refused", Description: "Invalid, in conflict with one known under its id, or past the window.", Kind: Stacked, Unit: PerSecond, Width: 8, Queries: []Query{{"sum by (source, reason) (rate(aura_applications_refused_total{$s}[$__rate_interval]))", "{{source}} {{reason}}"}}},
			{Title: "Undecided", Description: "Accepted and not known to be decided, as a share of what a process takes.", Kind: Lines, Unit: Ratio, Width: 8, Warn: at(.8), Max: at(1), Queries: []Query{{"aura_applications_undecided{$s} / aura_applications_window{$s}", "{{instance}}"}}},
		},
	}
}

func healing() Dashboard {
	return Dashboard{
		UID: "aura-healing", Title: "AURA: healing", Description: "What was detected, what was done about it, how long it took, and whether it can see and act.",
		Panels: []Panel{
			{Title: "Detected in 24 h", Description: "Incidents; one that comes back counts again.", Kind: Bars, Unit: Count, Width: 8, Queries: []Query{{"sum by (type) (increase(aura_incidents_total{$s}[1d]))", "{{type}}"}}},
			{Title: "How they ended in 24 h", Description: "Healed by an action, by itself, after a person was called, failed, or superseded by a person's change.", Kind: Bars, Unit: Count, Width: 8, Queries: []Query{{"sum by (outcome) (increase(aura_incident_recovery_seconds_count{$s}[1d]))", "{{outcome}}"}}},
			{Title: "People called in 24 h", Description: "By reason; a person is also called by log, page and event.", Kind: Bars, Unit: Count, Width: 8, Queries: []Query{{"sum by (reason) (increase(aura_people_called_total{$s}[1d]))", "{{reason}}"}}},
			{Title: "Recovery, p95 of 24 h", Description: "From detection to verified on newer data, by an action. Targets: latency and agents 60 s, accuracy 120 s, drift 300 s.", Kind: Lines, Unit: Seconds, Width: 12, Warn: at(300), Queries: []Query{{`histogram_quantile(0.95, sum by (le, type) (increase(aura_incident_recovery_seconds_bucket{$s, outcome="healed"}[1d])))`, "{{type}}"}}},
			{Title: "Open", Description: "Incidents by where they stand. The largest of what the processes see, since each sees all.", Kind: Stacked, Unit: Count, Width: 12, Queries: []Query{{"max by (state) (sum by (instance, state) (aura_incidents_open{$s}))", "{{state}}"}}},
			{Title: "Actions in 24 h", Description: "That have ended, whatever came of them.", Kind: Bars, Unit: Count, Width: 8, Queries: []Query{{"sum by (action) (increase(aura_actions_total{$s}[1d]))", "{{action}}"}}},
			{Title: "Actions, by governance's decision", Description: "Of actions that have ended, per hour; none: it ended before a decision.", Kind: Stacked, Unit: Count, Width: 8, Queries: []Query{{"sum by (agl_decision) (increase(aura_actions_total{$s}[1h]))", "{{agl_decision}}"}}},
			{Title: "Actions, by result", Description: "Of actions that have ended, per hour.", Kind: Stacked, Unit: Count, Width: 8, Queries: []Query{{"sum by (result) (increase(aura_action_results_total{$s}[1h]))", "{{result}}"}}},
			{Title: "Needless actions in 24 h", Description: "Share of executed actions that were against what ended by itself; the target is under 1 %.", Kind: Lines, Unit: Ratio, Width: 8, Warn: at(.01), Queries: []Query{{`sum(increase(aura_actions_needless_total{$s}[1d])) / sum(increase(aura_action_results_total{$s, result=~"VERIFIED|UNDONE|STOOD|NOT_HELD|ESCALATED|SUPERSEDED"}[1d]))`, "needless"}}},
			{Title: "Approvals", Description: "Age of the oldest request that waits for a person, and how long people took.", Kind: Lines, Unit: Seconds, Width: 8, Queries: append([]Query{{"max(aura_approvals_oldest_seconds{$s})", "oldest waiting"}}, Query{"histogram_quantile(0.95, sum by (le) (increase(aura_approval_wait_seconds_bucket{$s}[1d])))", "p95 of a day"})},
			{Title: "Webhook", Description: "Calls per hour, by what came of them after all tries.", Kind: Stacked, Unit: Count, Width: 8, Queries: []Query{{"sum by (result) (increase(aura_webhook_calls_total{$s}[1h]))", "{{result}}"}}},
			{Title: "Injected faults", Description: "Active now, in drills and by hand. Who heals never sees them.", Kind: States, Unit: Count, Width: 8, Queries: []Query{{"max by (fault) (clamp_max(aura_fault_active{$s}, 1))", "{{fault}}"}}},
			{Title: "What monitoring knows", Description: "Signals by state; where it can't see they are UNKNOWN, never healthy.", Kind: Stacked, Unit: Count, Width: 12, Queries: []Query{{"max by (state) (sum by (instance, state) (aura_signals{$s}))", "{{state}}"}}},
			{Title: "Monitoring's last report", Description: "Its age; past 3 s nothing is healed and a person is told.", Kind: Lines, Unit: Seconds, Width: 8, Warn: at(3), Queries: []Query{{"min(aura_monitoring_report_age_seconds{$s})", "age"}}},
			{Title: "Audit", Description: "Whether the last verification on demand found anything broken; never: nobody asked this process.", Kind: Stat, Unit: Count, Width: 4, Warn: at(1), Queries: []Query{{"max(aura_audit_broken{$s})", "broken"}}},
			{Title: "Audit verified", Description: "When somebody last had the audit verified; 1970: not since the start.", Kind: Stat, Unit: Date, Width: 4, Queries: []Query{{"max(aura_audit_verified_timestamp_seconds{$s}) * 1000", "verified"}}},
		},
	}
}

func modelAndData() Dashboard {
	return Dashboard{
		UID: "aura-model", Title: "AURA: model and data", Description: "Whether the model is right, and whether what comes is what it was trained on.",
		Panels: []Panel{
			{Title: "Accuracy", Description: "On the newest outcomes, against its floor; under it, it is an incident once monitoring is sure that it is no chance.", Kind: Lines, Unit: Ratio, Width: 12, Max: at(1), Queries: []Query{{"max(aura_model_accuracy_ratio{$s})", "accuracy"}, {"max(aura_model_accuracy_floor_ratio{$s})", "floor"}}},
			{Title: "Drift", Description: "PSI of each feature and of the score against the reference; over 0.2 it is an incident once monitoring is sure: few rows are over it by chance.", Kind: Lines, Unit: Count, Width: 12, Warn: at(.2), Queries: []Query{{"max by (feature) (aura_drift_psi{$s})", "{{feature}}"}}},
			{Title: "Outcomes", Description: "Received, by what became of them.", Kind: Stacked, Unit: PerSecond, Width: 12, Queries: []Query{{"sum by (kind) (rate(aura_feedback_total{$s}[$__rate_interval]))", "{{kind}}"}}},
			{Title: "MLflow", Description: "1 while it lacks a version or an alias, or can't be asked; decisions never wait for it.", Kind: Stat, Unit: Count, Width: 12, Warn: at(1), Queries: []Query{{"max(aura_mlflow_behind{$s})", "behind"}}},
			{Title: "Share approved", Description: "Of all decisions, by who decided.", Kind: Lines, Unit: Ratio, Width: 12, Max: at(1), Queries: []Query{{`sum by (mode) (rate(aura_decisions_total{$s, outcome="APPROVE"}[$__rate_interval])) / sum by (mode) (rate(aura_decisions_total{$s}[$__rate_interval]))`, "{{mode}}"}}},
		},
	}
}

func pipeline() Dashboard {
	return Dashboard{
		UID: "aura-pipeline", Title: "AURA: pipeline", Description: "Agents, queues, store, edge and process: where the time goes, and what stands.",
		Panels: []Panel{
			{Title: "Agents up", Description: "A bypassed, crashed or hung agent is not.", Kind: States, Unit: Count, Width: 12, Queries: []Query{{"aura_agent_up{$s}", "{{agent}} {{instance}}"}}},
			{Title: "Heartbeats", Description: "Since each agent's last one.", Kind: Lines, Unit: Seconds, Width: 12, Queries: []Query{{"aura_agent_heartbeat_age_seconds{$s}", "{{agent}} {{instance}}"}}},
			{Title: "Handling, p99", Description: "Over the last seconds, waiting left out.", Kind: Lines, Unit: Seconds, Width: 8, Queries: []Query{{`aura_agent_handler_seconds{$s, rank="p99"}`, "{{agent}} {{instance}}"}}},
			{Title: "Queues", Description: "Messages that wait or are at work, by consumer group.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{{"sum by (group) (aura_consumer_lag_messages{$s})", "{{group}}"}}},
			{Title: "Oldest message", Description: "Age of the oldest that waits or is at work.", Kind: Lines, Unit: Seconds, Width: 8, Warn: at(.3), Queries: []Query{{"max by (agent) (aura_agent_queue_age_seconds{$s})", "{{agent}}"}}},
			{Title: "Events", Description: "Handled by each agent.", Kind: Lines, Unit: PerSecond, Width: 8, Queries: []Query{{`sum by (agent) (rate(aura_agent_events_total{$s, result="handled"}[$__rate_interval]))`, "{{agent}}"}}},
			{Title: "Failures", Description: "Handlers that failed, and late results of abandoned lives, which are refused.", Kind: Lines, Unit: PerSecond, Width: 8, Queries: []Query{{`sum by (agent, result) (rate(aura_agent_events_total{$s, result=~"failed|refused"}[$__rate_interval]))`, "{{agent}} {{result}}"}}},
			{Title: "Lives and zombies", Description: "Lives begun per hour, and abandoned handlers that still run.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{
				{"sum by (agent) (changes(aura_agent_incarnation{$s}[1h]))", "lives of {{agent}}"}, {"sum(aura_agent_zombies{$s})", "zombies"},
			}},
			{Title: "Given up", Description: "Applications that no agent could handle, per hour: referred to a person.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{{"sum(increase(aura_technical_referrals_total{$s}[1h]))", "referred"}}},
			{Title: "Oldest undecided", Description: "Age of the oldest accepted application without a known decision.", Kind: Lines, Unit: Seconds, Width: 8, Warn: at(30), Queries: []Query{{"aura_applications_oldest_seconds{$s}", "{{instance}}"}}},
			{Title: "Control plane", Description: "Handling of a message of the control plane, all attempts.", Kind: Lines, Unit: Seconds, Width: 8, Queries: quantiles("aura_handler_duration_seconds", "handler", "{{handler}} ", .5, .99)},
			{Title: "Commits", Description: "The COMMIT alone, mostly the sync of the log.", Kind: Lines, Unit: Seconds, Width: 8, Warn: at(.1), Queries: quantiles("aura_store_commit_duration_seconds", "", "", .5, .99)},
			{Title: "Transactions", Description: "Of the one writer.", Kind: Stacked, Unit: PerSecond, Width: 8, Queries: []Query{{"sum by (result) (rate(aura_store_transactions_total{$s}[$__rate_interval]))", "{{result}}"}}},
			{Title: "Store", Description: "Rows that wait for the writer, and for how many seconds every write has failed.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{
				{"aura_store_queue_rows{$s}", "rows {{instance}}"}, {"aura_store_failing_seconds{$s}", "failing {{instance}}"}, {"1 - aura_store_up{$s}", "unreadable {{instance}}"},
			}},
			{Title: "Requests", Description: "By status.", Kind: Stacked, Unit: PerSecond, Width: 12, Queries: []Query{{"sum by (status) (rate(aura_http_requests_total{$s}[$__rate_interval]))", "{{status}}"}}},
			{Title: "Requests, p99", Description: "By route; streams are left out.", Kind: Lines, Unit: Seconds, Width: 12, Warn: at(.3), Queries: quantiles("aura_http_request_duration_seconds", "route", "{{route}} ", .99)},
			{Title: "CPU", Description: "Of the process, in cores.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{{"rate(process_cpu_seconds_total{$s}[$__rate_interval])", "{{instance}}"}}},
			{Title: "Memory", Description: "Resident, and the live heap.", Kind: Lines, Unit: Bytes, Width: 8, Queries: []Query{{"process_resident_memory_bytes{$s}", "resident {{instance}}"}, {"go_memstats_heap_inuse_bytes{$s}", "heap {{instance}}"}}},
			{Title: "Goroutines", Description: "A number that only grows is a leak.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{{"go_goroutines{$s}", "{{instance}}"}}},
			{Title: "Lost spans", Description: "Of traces, per hour: the collector did not take them. Nothing else waits for it.", Kind: Lines, Unit: Count, Width: 8, Queries: []Query{{"increase(aura_trace_spans_lost_total{$s}[1h])", "{{instance}}"}}},
		},
	}
}
