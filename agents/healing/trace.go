package healing

import (
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"aura/agents/tracing"
	"aura/healing/detect"
	"aura/healing/incident"
)

// An incident is a trace of its own: the first span is all of it, its children are the detection, which is linked to what was
// late or failed then, and each action with its decision, execution and verification. The ids come from the incident's and the
// actions', so that whoever goes on with it after a crash goes on with its trace. What is over is recorded when a step that ended
// it has been saved; the execution is a live span, whose trace goes on to whoever follows the change.

// suspectAfter is how long an agent may take for an event before a span of it is linked to an incident.
const suspectAfter = 300 * time.Millisecond

// traceName names the trace of an incident. One that came back after it was over has another.
func traceName(in incident.Incident) string { return in.ID + "/" + strconv.Itoa(len(in.Detections)) }

func rootOf(in incident.Incident) trace.SpanContext { return tracing.Named(traceName(in)) }

func placeOf(in incident.Incident, part, id string) trace.SpanContext {
	return tracing.Named(traceName(in), part, id)
}

// traceParent is the context that messages about an incident carry, "" with tracing off.
func (a *Agent) traceParent(in incident.Incident) string {
	if a.o.Tracer == nil {
		return ""
	}
	return tracing.Format(rootOf(in))
}

// actionParent is the context of an action's execution.
func (a *Agent) actionParent(in incident.Incident, id string) string {
	if a.o.Tracer == nil {
		return ""
	}
	return tracing.Format(placeOf(in, "action", id))
}

// trace records what a step has ended.
func (a *Agent) trace(before, after incident.Incident) {
	t := a.o.Tracer
	if t == nil {
		return
	}
	about := []attribute.KeyValue{
		attribute.String("aura.incident.id", after.ID), attribute.String("aura.incident.type", after.Kind),
		attribute.String("aura.incident.target", after.Target),
	}
	began := after.Detected()
	if !after.OnsetAt.IsZero() && after.OnsetAt.Before(began) {
		began = after.OnsetAt
	}
	if !after.DetectedAt.IsZero() && !after.DetectedAt.Equal(before.DetectedAt) {
		t.Record(tracing.Past{
			At: placeOf(after, "detect", ""), Parent: rootOf(after), Name: "detect " + after.Kind, Begin: began, End: after.DetectedAt,
			Attributes: about, Links: t.Suspects(a.suspects(after), suspectAfter, began.Add(-suspectAfter)),
		})
	}
	for i, action := range after.Actions {
		var was incident.Action
		if i < len(before.Actions) {
			was = before.Actions[i]
		}
		a.traceAction(after, was, action, about)
	}
	if after.State.Final() && !before.State.Final() {
		p := tracing.Past{
			At: rootOf(after), Name: "incident " + after.Kind, Begin: began, End: after.ClosedAt,
			Attributes: append(about, attribute.String("aura.incident.state", string(after.State))),
		}
		if n := len(after.Detections); n > 0 {
			earlier := after
			earlier.Detections = after.Detections[:n-1]
			p.Links = []trace.SpanContext{rootOf(earlier)}
		}
		if after.State == incident.Failed {
			p.Failed = string(after.State)
		}
		t.Record(p)
	}
}

// suspects are the agents whose spans an incident may be about.
func (a *Agent) suspects(in incident.Incident) []string {
	switch detect.Kind(in.Kind) {
	case detect.AgentDown:
		return []string{in.Target}
	case detect.LatencyBreach:
		return a.o.Heals
	}
	return nil
}

func (a *Agent) traceAction(in incident.Incident, was, is incident.Action, about []attribute.KeyValue) {
	t, at := a.o.Tracer, placeOf(in, "action", is.ID)
	about = append(about[:len(about):len(about)], attribute.String("aura.action.id", is.ID), attribute.String("aura.action.type", is.Type))
	child := func(part string, begin, end time.Time, failed string, more ...attribute.KeyValue) {
		t.Record(tracing.Past{
			At: placeOf(in, part, is.ID), Parent: at, Name: part + " " + is.Type, Begin: begin, End: end, Failed: failed,
			Attributes: append(about[:len(about):len(about)], more...),
		})
	}
	if !is.DecidedAt.IsZero() && !is.DecidedAt.Equal(was.DecidedAt) {
		child("approve", is.ProposedAt, is.DecidedAt, "", attribute.String("aura.policy.decision", is.AGL), attribute.String("aura.policy.rule", is.Rule))
	}
	if u := is.Undo; u != nil && !u.EndedAt.IsZero() && (was.Undo == nil || was.Undo.EndedAt.IsZero()) {
		failed := ""
		if !u.OK {
			failed = "undo_failed"
		}
		child("undo", u.AskedAt, u.EndedAt, failed)
	}
	if is.EndedAt.IsZero() || is.EndedAt.Equal(was.EndedAt) {
		return
	}
	failed := ""
	switch is.Result {
	case incident.Undone, incident.NotHeld, incident.HandedOver, incident.Refused, incident.Denied, incident.ErrorResult:
		failed = string(is.Result)
	}
	if is.Verdict != nil && !is.ExecutedAt.IsZero() {
		child("verify", is.ExecutedAt, is.EndedAt, failed, attribute.Int64("aura.verdict.samples", is.Verdict.N))
	}
	t.Record(tracing.Past{
		At: at, Parent: rootOf(in), Name: "action " + is.Type, Begin: is.ProposedAt, End: is.EndedAt, Failed: failed,
		Attributes: append(about, attribute.String("aura.action.result", string(is.Result))),
	})
}
