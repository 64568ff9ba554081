package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"aura/agents/event"
	"aura/healing/detect"
	"aura/mlops/schema"
)

var update = flag.Bool("update", false, "write the golden files anew: a change of the contract with users' tools")

var (
	accepted = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)
	decided  = accepted.Add(1250 * time.Microsecond)
	p        = 0.0417
	subject  = event.Subject{
		ID: "0195511f-5e7b-7abc-8def-0123456789ab", ApplicationID: "A-1", AcceptedAt: accepted,
		Source: "http", TraceID: "0af7651916cd43dd8448eb211c80319c",
	}
	features = event.Features{
		Subject: subject,
		Values:  schema.Vector{700, 0.31, math.NaN(), 12000, 4},
		Vector:  schema.Vector{700, 0.3100000023841858, math.NaN(), 9.392745018005371, 4},
	}
	reasons = []schema.Reason{{Code: "R02", Feature: "debt_ratio", Text: "Debt is high for the income.", Contribution: 0.125}}
)

// golden holds one event of each type, by the name of its file.
func golden() map[string]event.Event {
	again := features
	again.MinGeneration = 8
	shadow := event.Prediction{Features: features, Probability: p, ModelVersion: 3, ModelDigest: "9f86d081884c", Generation: 8, Shadow: true}
	scored := event.Prediction{Features: features, Probability: 0.38, Reasons: reasons, ModelVersion: 3, ModelDigest: "9f86d081884c", Generation: 8}
	return map[string]event.Event{
		"applications": &event.Submitted{ApplicationID: "A-1", Features: json.RawMessage(`{"credit_score":700}`)},
		"outcomes":     &event.Observed{ApplicationID: "A-1", Outcome: event.Repaid, ObservedAt: decided.Add(time.Hour)},
		"raw-events": &event.RawEvent{Subject: subject, Features: schema.Record{
			Names:  []string{"credit_score", "debt_ratio", "income", "purpose"},
			Values: []schema.Value{schema.Number(700), schema.Number(0.31), schema.Missing(), schema.Text("car")},
		}},
		"features":           &features,
		"features.again":     &again,
		"predictions":        &scored,
		"predictions.shadow": &shadow,
		"decisions": &event.Decision{
			Subject: subject, Decision: schema.Approve, Probability: &p, Reasons: []schema.Reason{},
			ModelVersion: 3, ModelDigest: "9f86d081884c", Generation: 8, Mode: event.ModeModel, ModeGeneration: 1,
			DecidedAt: decided, LatencyMS: 1.25, Incarnation: 5,
		},
		"decisions.safe-mode": &event.Decision{
			Subject: subject, Decision: schema.Decline, Reasons: reasons, Mode: event.ModeSafe, ModeGeneration: 2,
			Rule: "high-debt", DecidedAt: decided, LatencyMS: 1.25, Incarnation: 5,
		},
		"feedback": &event.Feedback{
			Subject: subject, Outcome: event.Repaid, ObservedAt: decided.Add(time.Hour), ReceivedAt: decided.Add(2 * time.Hour),
			Decision: schema.Approve, Probability: &p, Mode: event.ModeModel, ModelVersion: 3, DecidedAt: decided,
		},
		"agent-metrics": &event.AgentMetrics{
			Agent: "model", Instance: "model-1", Incarnation: 2, State: "RUNNING", At: decided, SlotMS: 100, Handled: 50, Failed: 1,
			Refused: 2, Watermark: 5000, Queue: 3, QueueAgeMS: 7, InFlight: 1, HandlerUS: []int64{0, 40, 9, 1},
		},
		"agent-metrics.hung": &event.AgentMetrics{
			Agent: "model", Instance: "model-1", Incarnation: 2, State: "HUNG", At: decided, SlotMS: 100, Queue: 3, InFlight: 1,
			HandlerAgeMS: 1600, DeadlineMS: 1000, Cause: "a handler did not return after its cancel",
			Counts: &detect.Counts{Overdue: 3},
		},
		"alerts": &event.Alert{
			Kind: "LATENCY_SLO_BREACH", Target: "model", Fingerprint: "latency:model", State: "CONFIRMED", At: decided, Epoch: 4,
			Signal: json.RawMessage(`{"median_ms":2100}`),
		},
		"policy-requests": &event.PolicyRequest{
			RequestID: "R-1", IncidentID: "I-1", ActionID: "X-1", Action: json.RawMessage(`{"kind":"ENTER_SAFE_MODE"}`), At: decided,
		},
		"policy-decisions": &event.PolicyDecision{
			RequestID: "R-1", IncidentID: "I-1", ActionID: "X-1", Verdict: "ALLOW", Envelope: json.RawMessage(`{"sig":"AA=="}`), At: decided,
		},
		"incident-log": &event.IncidentEntry{
			IncidentID: "I-1", IncidentType: "LATENCY_SLO_BREACH", Target: "model", Status: "OPEN", State: "DIAGNOSED", Step: "diagnose",
			Text: "The model agent is slow.", At: decided, Detail: json.RawMessage(`{"cause":"SLOW"}`),
		},
		"config-updates": &event.ConfigUpdate{Setting: "mode", Generation: 2},
		"dlq": &event.DeadLetter{
			From: event.Predictions, ID: subject.ID, Subject: "A-1", Agent: "decision", Error: "the event has no key", At: decided,
			Payload: []byte(`{"id":`),
		},
	}
}

// TestGolden fixes the wire form of each event, and that it is read back as it was written.
func TestGolden(t *testing.T) {
	topics := map[event.Topic]bool{}
	for name, e := range golden() {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, raw, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("the wire form changed:\n%s\nwant\n%s", got.Bytes(), want)
			}
			back := event.New(e.Topic())
			if back == nil || reflect.TypeOf(back) != reflect.TypeOf(e) {
				t.Fatalf("New(%s) is %T, want %T", e.Topic(), back, e)
			}
			if err := json.Unmarshal(want, back); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(back)
			if err != nil || !bytes.Equal(raw, again) {
				t.Fatalf("read back and written again (%v):\n%s\nwant\n%s", err, again, raw)
			}
			if back.Key() != e.Key() || back.Key() == "" {
				t.Errorf("key %q, want %q", back.Key(), e.Key())
			}
		})
		topics[e.Topic()] = true
	}
	for _, topic := range []event.Topic{
		event.Applications, event.Outcomes, event.RawEvents, event.FeaturesTopic, event.Predictions, event.Decisions, event.FeedbackTopic, event.Metrics,
		event.ConfigUpdates, event.Alerts, event.PolicyRequests, event.PolicyDecisions, event.IncidentLog, event.Predictions.DLQ(),
	} {
		if !topics[topic] {
			t.Errorf("no golden file for topic %s", topic)
		}
	}
}

// TestTypes checks that the CloudEvents type names one Go type, and that unknown topics have none.
func TestTypes(t *testing.T) {
	seen := map[string]reflect.Type{}
	for _, e := range golden() {
		if was := seen[e.Type()]; was != nil && was != reflect.TypeOf(e) {
			t.Errorf("type %s is %v and %T", e.Type(), was, e)
		}
		seen[e.Type()] = reflect.TypeOf(e)
	}
	if e := event.New("nonsense"); e != nil {
		t.Errorf("an unknown topic has %T", e)
	}
	if event.Group("model") != "model-agent-group" {
		t.Errorf("group %s", event.Group("model"))
	}
}
