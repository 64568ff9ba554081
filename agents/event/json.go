package event

import "encoding/json"

// Marshal returns what json.Marshal returns, to the byte. The events of the data path are written by hand, which takes a
// quarter of the time; what needs escapes, and every other type, is left to encoding/json.
func Marshal(e Event) ([]byte, error) { return Append(make([]byte, 0, 896), e) }

// Append appends the JSON of an event to dst. With an error dst is unchanged.
func Append(dst []byte, e Event) ([]byte, error) {
	w := writer{b: dst}
	switch e := e.(type) {
	case *RawEvent:
		w.rawEvent(e)
	case *Features:
		w.features(e)
		w.lit("}")
	case *Prediction:
		w.prediction(e)
	case *Decision:
		w.decision(e)
	default:
		w.odd = true
	}
	if !w.odd {
		return w.b, nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return dst, err
	}
	return append(dst, raw...), nil
}

// Unmarshal reads the JSON of an event into a zero value, as New returns it. What has exactly the form that Append gives the
// events of the data path is read by hand; anything else (another order, white space, escapes, unknown names, mistakes) is
// left to encoding/json, so that what is accepted, and as what, is always its judgement.
func Unmarshal(data []byte, e Event) error {
	if read(data, e) {
		return nil
	}
	return json.Unmarshal(data, e)
}

// read reports whether it has read data into e; if not, e is zero again.
func read(data []byte, e Event) bool {
	switch e := e.(type) {
	case *RawEvent:
		return readAs(data, e, (*reader).rawEvent)
	case *Features:
		return readAs(data, e, (*reader).featuresOnly)
	case *Prediction:
		return readAs(data, e, (*reader).prediction)
	case *Decision:
		return readAs(data, e, (*reader).decision)
	}
	return false
}

func readAs[T any](data []byte, e *T, with func(*reader, *T)) bool {
	r := reader{data: string(data)} // all texts of the event are parts of this one
	with(&r, e)
	if r.failed || r.pos != len(r.data) {
		*e = *new(T)
		return false
	}
	return true
}
