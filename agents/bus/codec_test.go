package bus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/mlops/schema"
)

var update = flag.Bool("update", false, "write the golden files anew: a change of the contract with users' tools")

var moment = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

func sample() *bus.Message {
	s := subject(1)
	s.AcceptedAt, s.Source, s.TraceID = moment, "http", "0af7651916cd43dd8448eb211c80319c"
	m := bus.NewMessage(&event.Prediction{
		Features: event.Features{
			Subject: s,
			Values:  schema.Vector{700, 0.31, 54000, 12000, 4},
			Vector:  schema.Vector{700, 0.3100000023841858, 10.896757, 9.392745018005371, 4},
		},
		Probability: 0.0417, ModelVersion: 3, ModelDigest: "9f86d081884c7d659a2feaa0c55ad015", Generation: 8,
	}, moment)
	m.ID = "0195511f-5e7b-7abc-8def-0123456789ab"
	m.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	return m
}

// TestGoldenHeaders fixes the CloudEvents headers beside a payload.
func TestGoldenHeaders(t *testing.T) {
	m := sample()
	m.Attempt = 2
	w, err := bus.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(w.Metadata, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/headers.json"
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the headers changed:\n%s\nwant\n%s", got, want)
	}
	if w.UUID != m.ID {
		t.Errorf("Watermill's id %s, want %s", w.UUID, m.ID)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	m := sample()
	w, err := bus.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	w.Metadata["tenant"] = "north" // a header of somebody else
	back := bus.Decode(event.Predictions, w)
	if back.Err != nil || !reflect.DeepEqual(back.Event, m.Event) {
		t.Fatalf("event %+v (%v), want %+v", back.Event, back.Err, m.Event)
	}
	if back.ID != m.ID || !back.Time.Equal(m.Time) || back.TraceParent != m.TraceParent || back.Key() != m.Key() {
		t.Errorf("got %+v, want %+v", back, m)
	}
	again, err := bus.Encode(back)
	if err != nil || !again.Equals(w) {
		t.Errorf("encoded again (%v): %v %s, want %v %s", err, again.Metadata, again.Payload, w.Metadata, w.Payload)
	}
}

// TestDecodeForeign: what a person types into a console producer has no headers.
func TestDecodeForeign(t *testing.T) {
	m := bus.Decode(event.ConfigUpdates, message.NewMessage("", []byte(`{"setting":"mode","generation":3,"new":1}`)))
	if m.Err != nil || m.Event.(*event.ConfigUpdate).Generation != 3 {
		t.Fatalf("got %+v", m)
	}
	if len(m.ID) != 36 || time.Since(m.Time) > time.Minute || m.Key() != "mode" {
		t.Errorf("id %q, time %v, key %q", m.ID, m.Time, m.Key())
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		topic   event.Topic
		typ     string
		payload string
		want    string
	}{
		"no type for the topic": {"nonsense", "", `{}`, "no type"},
		"another type":          {event.ConfigUpdates, "aura.application.decided", `{"setting":"mode"}`, "want"},
		"no JSON":               {event.ConfigUpdates, "", `mode=3`, "invalid character"},
		"empty":                 {event.ConfigUpdates, "", ``, "unexpected end"},
		"two values":            {event.ConfigUpdates, "", `{"setting":"mode"}{}`, "after top-level"},
		"an array":              {event.ConfigUpdates, "", `[{"setting":"mode"}]`, "cannot unmarshal"},
		"null":                  {event.ConfigUpdates, "", `null`, "no key"},
		"no key":                {event.RawEvents, "", `{"id":"1"}`, "no key"},
		"too large":             {event.ConfigUpdates, "", `{"setting":"` + strings.Repeat("m", 1<<20) + `"}`, "larger than"},
		"a text as number":      {event.Predictions, "", `{"application_id":"A","probability_of_default":"x"}`, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			in := message.NewMessage("id", []byte(c.payload))
			in.Metadata[bus.HeaderType] = c.typ
			m := bus.Decode(c.topic, in)
			var cause *bus.DecodeError
			if m.Event != nil || !errors.As(m.Err, &cause) || !strings.Contains(m.Err.Error(), c.want) {
				t.Fatalf("got %v, error %v, want one with %q", m.Event, m.Err, c.want)
			}
			if string(m.Payload) != c.payload {
				t.Error("the payload is lost")
			}
			if out, err := bus.Encode(m); err != nil || !out.Equals(in) {
				t.Errorf("it is not passed on as it came: %v %v", out, err)
			}
		})
	}
}

// TestIDs: ids are version 7, unique, and in the order in which they were made.
func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	last := ""
	for range 20_000 {
		id := bus.NewMessage(nil, moment).ID
		if id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
	if !form.MatchString(last) {
		t.Errorf("%s is no UUIDv7", last)
	}
	hex := strings.ReplaceAll(last, "-", "")[:12]
	var ms int64
	for _, c := range hex {
		ms = ms<<4 | int64(strings.IndexRune("0123456789abcdef", c))
	}
	if d := time.Since(time.UnixMilli(ms)).Abs(); d > time.Minute {
		t.Errorf("%s is %v off the clock", last, d)
	}
}

// FuzzDecode: whatever arrives yields an event or a reason, never both, never neither, and what was decoded can be
// written and read again with the same key.
func FuzzDecode(f *testing.F) {
	topics := []event.Topic{
		event.RawEvents, event.FeaturesTopic, event.Predictions, event.Decisions, event.FeedbackTopic, event.Metrics,
		event.ConfigUpdates, event.Decisions.DLQ(), "nonsense", event.Alerts, event.PolicyRequests, event.PolicyDecisions,
		event.IncidentLog,
	}
	w, err := bus.Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(2, "", "", []byte(w.Payload))
	f.Add(0, "aura.application.accepted", "2026-03-01T09:30:00Z", []byte(`{"application_id":"A","features":{"x":1,"y":null,"z":"t"}}`))
	f.Add(6, "", "yesterday", []byte(`{"setting":"mode"}`))
	f.Add(5, "", "", []byte(`null`))
	f.Add(10, "", "", []byte(`{"incident_id":"I-1","action":{"kind":"RESTART"}}`))
	f.Fuzz(func(t *testing.T, topic int, typ, at string, payload []byte) {
		in := message.NewMessage("", payload)
		in.Metadata[bus.HeaderType], in.Metadata[bus.HeaderTime] = typ, at
		name := topics[uint(topic)%uint(len(topics))]
		m := bus.Decode(name, in)
		if (m.Event == nil) == (m.Err == nil) {
			t.Fatalf("event %v, error %v", m.Event, m.Err)
		}
		if m.ID == "" || m.Time.IsZero() && at == "" {
			t.Fatalf("id %q, time %v", m.ID, m.Time)
		}
		if m.Event == nil {
			return
		}
		again, err := bus.Encode(bus.NewMessage(m.Event, m.Time))
		if err != nil {
			t.Fatalf("what was decoded can't be encoded: %v", err)
		}
		back := bus.Decode(m.Event.Topic(), again)
		if back.Err != nil || back.Key() != m.Key() {
			t.Fatalf("key %q became %q: %v", m.Key(), back.Key(), back.Err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	m := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bus.Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	w, err := bus.Encode(sample())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(w.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if m := bus.Decode(event.Predictions, w); m.Err != nil {
			b.Fatal(m.Err)
		}
	}
}
