package bus

import (
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// record encodes a message for the broker.
func (m *Message) record(prefix string) (*sarama.ProducerMessage, error) {
	payload, err := m.Encoded()
	if err != nil {
		return nil, err
	}
	r := &sarama.ProducerMessage{
		Topic: prefix + string(m.Event.Topic()), Value: sarama.ByteEncoder(payload),
		Headers: make([]sarama.RecordHeader, 0, 9),
	}
	if key := m.Event.Key(); key != "" {
		r.Key = sarama.StringEncoder(key)
	}
	values := make([]byte, 0, 256) // of all headers
	m.attributes(func(name, value string) {
		begin := len(values)
		values = append(values, value...)
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: headerName(name), Value: values[begin:len(values):len(values)]})
	})
	return r, nil
}

// headerNames are the names of our own headers as they are sent.
var headerNames = func() map[string][]byte {
	names := map[string][]byte{}
	for _, n := range []string{
		HeaderSpecVersion, HeaderID, HeaderType, HeaderSource, HeaderSubject, HeaderTime, HeaderAttempt, HeaderReason, HeaderContentType,
		HeaderTraceParent,
	} {
		names[n] = []byte(n)
	}
	return names
}()

func headerName(name string) []byte {
	if b, ok := headerNames[name]; ok {
		return b
	}
	return []byte(name)
}

// typeNames are the types of our own events.
var typeNames = func() map[string]string {
	names := map[string]string{}
	for _, k := range kafkaTopics {
		t := event.New(k.topic).Type()
		names[t] = t
	}
	return names
}()

func typeName(name []byte) string {
	if t, ok := typeNames[string(name)]; ok {
		return t
	}
	return string(name)
}

// decodeRecord is Decode for what a broker delivers. What comes without an id is named after its place, so that it is known
// again when it is delivered again.
func decodeRecord(topic event.Topic, r *sarama.ConsumerMessage, lazy bool) *Message {
	m := &Message{Payload: r.Value, key: string(r.Key), Arrived: time.Now()}
	var typ, at, uuid string
	for _, h := range r.Headers {
		switch string(h.Key) {
		case HeaderID:
			m.ID = string(h.Value)
		case HeaderType:
			typ = typeName(h.Value)
		case HeaderTime:
			at = string(h.Value)
		case HeaderTraceParent:
			m.TraceParent = string(h.Value)
		case HeaderSubject:
			if string(h.Value) != m.key { // it is the record's key mostly
				m.key = string(h.Value)
			}
		case uuidHeader:
			uuid = string(h.Value)
		case HeaderSpecVersion, HeaderSource, HeaderAttempt, HeaderContentType, HeaderReason:
		default:
			if m.headers == nil {
				m.headers = message.Metadata{}
			}
			m.headers[string(h.Key)] = string(h.Value)
		}
	}
	if m.ID == "" {
		m.ID = uuid
	}
	if m.ID == "" {
		m.ID = placeID(r)
	}
	if lazy {
		m.Time, m.sealed = timeOf(at, r.Timestamp), &sealed{topic, typ}
		return m
	}
	if m.fill(topic, typ, at, r.Timestamp) != nil {
		m.headers = metadata(r)
	}
	return m
}

func placeID(r *sarama.ConsumerMessage) string {
	return r.Topic + "-" + strconv.Itoa(int(r.Partition)) + "-" + strconv.FormatInt(r.Offset, 10)
}

func metadata(r *sarama.ConsumerMessage) message.Metadata {
	out := make(message.Metadata, len(r.Headers))
	for _, h := range r.Headers {
		out[string(h.Key)] = string(h.Value)
	}
	return out
}

// arrival makes an entry of a lane of what a broker delivered. A record without a time arrives now.
func (l *kafkaLane) arrival(r *sarama.ConsumerMessage) entry {
	at := r.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	return entry{m: decodeRecord(l.topic, r, l.lazy), at: at.UnixNano(), place: r.Offset}
}
