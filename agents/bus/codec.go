package bus

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// Metadata names: CloudEvents 1.0 binary mode as its Kafka binding writes it, and W3C Trace Context.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderSubject     = "ce_subject" // the key
	HeaderTime        = "ce_time"
	HeaderAttempt     = "ce_attempt" // deliveries so far; an extension attribute of ours
	HeaderReason      = "ce_reason"  // why it is a dead letter; an extension attribute of ours
	HeaderContentType = "content-type"
	HeaderTraceParent = "traceparent"
)

// What Encode writes for HeaderSource and HeaderContentType.
const (
	SourceAURA      = "/aura"
	ContentTypeJSON = "application/json"
)

// maxPayload bounds what Decode looks at, in bytes: no event of ours comes near it.
const maxPayload = 1 << 20

// DecodeError says why a payload is no event of its topic. The message carries it in Err and goes to the dead letters.
type DecodeError struct {
	Topic event.Topic
	Err   error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("bus: decode a message of %s: %v", e.Topic, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

var (
	errNoType   = errors.New("the topic has no type")
	errNoKey    = errors.New("the event has no key")
	errTooLarge = fmt.Errorf("the payload is larger than %d bytes", maxPayload)
)

// Encoded returns the message's payload: the bytes it came with, else the JSON of its event.
func (m *Message) Encoded() ([]byte, error) {
	if m.Payload != nil || m.Event == nil {
		return m.Payload, nil
	}
	payload, err := event.Marshal(m.Event)
	return payload, m.unfit(err)
}

// appendTo appends the same to dst.
func (m *Message) appendTo(dst []byte) ([]byte, error) {
	if m.Payload != nil || m.Event == nil {
		return append(dst, m.Payload...), nil
	}
	out, err := event.Append(dst, m.Event)
	return out, m.unfit(err)
}

func (m *Message) unfit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bus: encode %s: %w", m.Event.Type(), err)
}

// Encode makes a Watermill message: plain JSON with CloudEvents headers. What a foreign publisher sent comes out as it
// was, headers and all.
func Encode(m *Message) (*message.Message, error) {
	payload, err := m.Encoded()
	if err != nil {
		return nil, err
	}
	out := message.NewMessage(m.ID, payload)
	m.attributes(func(name, value string) { out.Metadata[name] = value })
	return out, nil
}

// attributes names what travels beside the payload, a foreign publisher's metadata first.
func (m *Message) attributes(set func(name, value string)) {
	for k, v := range m.headers {
		set(k, v)
	}
	if m.Attempt > 0 {
		set(HeaderAttempt, strconv.Itoa(m.Attempt))
	}
	if m.TraceParent != "" {
		set(HeaderTraceParent, m.TraceParent)
	}
	if m.Event == nil {
		return
	}
	set(HeaderSpecVersion, "1.0")
	set(HeaderID, m.ID)
	set(HeaderType, m.Event.Type())
	set(HeaderSource, SourceAURA)
	set(HeaderSubject, m.Event.Key())
	set(HeaderTime, m.Time.UTC().Format(time.RFC3339Nano))
	set(HeaderContentType, ContentTypeJSON)
	if d, ok := m.Event.(*event.DeadLetter); ok {
		set(HeaderReason, d.Error)
	}
}

// Decode makes a Message of what arrived on a topic. It never fails, since a consumer that fails to decode would meet
// the same message for ever: what is no event of the topic has a nil Event and says why in Err. A message without
// headers, as a person's own tool sends it, gets an id and the present time. Attempt starts anew: the header tells who
// reads the wire, it isn't believed.
func Decode(topic event.Topic, in *message.Message) *Message {
	m := &Message{
		ID:          in.Metadata[HeaderID],
		TraceParent: in.Metadata[HeaderTraceParent],
		Payload:     in.Payload,
		key:         in.Metadata[HeaderSubject],
		headers:     foreign(in.Metadata),
	}
	if m.ID == "" {
		m.ID = in.UUID
	}
	if m.ID == "" {
		m.ID = newID()
	}
	m.Time = timeOf(in.Metadata[HeaderTime], time.Now())
	if m.decode(topic, in.Metadata[HeaderType]) != nil {
		m.headers = in.Metadata
	}
	return m
}

// timeOf reads the time of a header, which is otherwise if there is none.
func timeOf[T string | []byte](text T, otherwise time.Time) time.Time {
	var t time.Time
	if t.UnmarshalText([]byte(text)) == nil {
		return t.UTC()
	}
	t, err := time.Parse(time.RFC3339Nano, string(text)) // it takes more forms, and more time
	if err != nil {
		t = otherwise
	}
	return t.UTC()
}

func (m *Message) decode(topic event.Topic, typ string) error {
	var err error
	if m.Event, err = decodeEvent(topic, typ, m.Payload); err != nil {
		m.Event, m.Err = nil, &DecodeError{Topic: topic, Err: err}
	}
	return m.Err
}

func decodeEvent(topic event.Topic, typ string, payload []byte) (event.Event, error) {
	e := event.New(topic)
	switch {
	case e == nil:
		return nil, errNoType
	case typ != "" && typ != e.Type() && !topic.Foreign():
		return nil, fmt.Errorf("the type is %q, want %q", typ, e.Type())
	case len(payload) > maxPayload:
		return nil, errTooLarge
	}
	if err := event.Unmarshal(payload, e); err != nil {
		return nil, err
	}
	if e.Key() == "" && !keyless(e) {
		return nil, errNoKey
	}
	return e, nil
}

// keyless are events that may have no key of their own.
func keyless(e event.Event) bool {
	switch e.(type) {
	case *event.DeadLetter, *event.Submitted:
		return true
	}
	return false
}

// foreign returns the metadata that Encode does not write itself; nil if there is none.
func foreign(in message.Metadata) message.Metadata {
	var out message.Metadata
	for k, v := range in {
		switch k {
		case HeaderSpecVersion, HeaderID, HeaderType, HeaderSource, HeaderSubject, HeaderTime, HeaderAttempt,
			HeaderContentType, HeaderTraceParent, HeaderReason:
			continue
		}
		if out == nil {
			out = message.Metadata{}
		}
		out[k] = v
	}
	return out
}
