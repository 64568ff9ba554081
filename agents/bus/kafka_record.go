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
	m.attributes(func(name, value string) {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	})
	return r, nil
}

// decodeRecord is Decode for what a broker delivers. What comes without an id is named after its place, so that it is known
// again when it is delivered again.
func decodeRecord(topic event.Topic, r *sarama.ConsumerMessage) *Message {
	m := &Message{Payload: r.Value, key: string(r.Key), Arrived: time.Now()}
	var typ, at string
	for _, h := range r.Headers {
		switch string(h.Key) {
		case HeaderID:
			m.ID = string(h.Value)
		case HeaderType:
			typ = string(h.Value)
		case HeaderTime:
			at = string(h.Value)
		case HeaderTraceParent:
			m.TraceParent = string(h.Value)
		case HeaderSubject:
			m.key = string(h.Value)
		case HeaderSpecVersion, HeaderSource, HeaderAttempt, HeaderContentType, HeaderReason:
		default:
			if m.headers == nil {
				m.headers = message.Metadata{}
			}
			m.headers[string(h.Key)] = string(h.Value)
		}
	}
	if m.ID == "" {
		m.ID = placeID(r)
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
func arrival(topic event.Topic, r *sarama.ConsumerMessage) entry {
	at := r.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	return entry{m: decodeRecord(topic, r), at: at.UnixNano(), place: r.Offset}
}
