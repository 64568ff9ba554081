package bus

import (
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// together is how many records share the memory that they are made of: some 30 KB, below what Go calls a large object.
const together = 32

// ownHeaders is how many headers a record of ours has, or one more.
const ownHeaders = 9

// records encodes messages for the broker.
func records(prefix string, messages []*Message) ([]*sarama.ProducerMessage, error) {
	out := make([]*sarama.ProducerMessage, 0, len(messages))
	for batch := range slices.Chunk(messages, together) {
		s := slab{
			records: make([]sarama.ProducerMessage, len(batch)), headers: make([]sarama.RecordHeader, 0, ownHeaders*len(batch)),
			parts: make([]sarama.ByteEncoder, 0, 2*len(batch)), bytes: make([]byte, 0, 832*len(batch)),
		}
		for i, m := range batch {
			if m.Event == nil {
				return nil, errNoEvent
			}
			r := &s.records[i]
			r.Topic = prefix + string(m.Event.Topic())
			if err := s.fill(r, m); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// slab is the memory of some records. What it has too little room for is somewhere else.
type slab struct {
	records []sarama.ProducerMessage
	headers []sarama.RecordHeader
	parts   []sarama.ByteEncoder
	bytes   []byte
}

func (s *slab) fill(r *sarama.ProducerMessage, m *Message) error {
	begin := len(s.bytes)
	var err error
	if s.bytes, err = m.appendTo(s.bytes); err != nil {
		return err
	}
	r.Value = s.part(s.bytes[begin:])
	first := len(s.headers)
	m.attributes(func(name, value string) {
		s.headers = append(s.headers, sarama.RecordHeader{Key: headerName(name), Value: s.text(value)})
	})
	r.Headers = s.headers[first:len(s.headers):len(s.headers)]
	if key := m.Event.Key(); key != "" {
		r.Key = s.part(s.text(key))
	}
	return nil
}

// text copies a text.
func (s *slab) text(text string) []byte {
	begin := len(s.bytes)
	s.bytes = append(s.bytes, text...)
	return s.bytes[begin:]
}

// part is a pointer, because that makes an Encoder without a copy.
func (s *slab) part(b []byte) sarama.Encoder {
	s.parts = append(s.parts, b[:len(b):len(b)])
	return &s.parts[len(s.parts)-1]
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
	m := &Message{Payload: r.Value, Arrived: time.Now()}
	var typ, uuid string
	var at []byte
	key := r.Key
	for _, h := range r.Headers {
		switch string(h.Key) {
		case HeaderID:
			m.ID = string(h.Value)
		case HeaderType:
			typ = typeName(h.Value)
		case HeaderTime:
			at = h.Value
		case HeaderTraceParent:
			m.TraceParent = string(h.Value)
		case HeaderSubject:
			key = h.Value
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
	m.Time = timeOf(at, r.Timestamp)
	if lazy {
		m.key, m.sealed = string(key), &sealed{topic, typ}
		return m
	}
	if m.decode(topic, typ) != nil {
		m.headers = metadata(r)
	}
	if m.Key() == "" { // an event's own key mostly is the same
		m.key = string(key)
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
