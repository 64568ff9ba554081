package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aura/web/api"
)

// maxID is the longest id of a client, in bytes.
const maxID = 200

// parseSubmission reads {"application_id": "...", "features": {...}} strictly: keys are known, spelled exactly and not
// doubled, nothing follows the object, and nothing nests deeper than api.MaxDepth. Features are checked for being a
// JSON object only; what is in them is the schema's matter. The result keeps nothing of body.
func parseSubmission(body []byte) (api.Submission, error) {
	var s api.Submission
	if len(bytes.TrimSpace(body)) == 0 {
		return s, api.Refuse(api.Malformed, "the body is empty; want {\"application_id\": ..., \"features\": {...}}")
	}
	if !utf8.Valid(body) {
		return s, api.Refuse(api.Malformed, "the body is not UTF-8")
	}
	if tooDeep(body) {
		return s, api.Refuse(api.Malformed, "the body nests deeper than %d", api.MaxDepth)
	}
	if !json.Valid(body) {
		return s, malformed(body)
	}
	fields, err := splitObject(body)
	if err != nil {
		return s, err
	}
	var wrong []api.Field
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.name] {
			wrong = append(wrong, api.Field{Field: clip(f.name), Problem: "duplicate"})
			continue
		}
		seen[f.name] = true
		switch f.name {
		case "application_id":
			id, problem := parseID(f.value)
			if problem != nil {
				wrong = append(wrong, *problem)
			}
			s.ApplicationID = id
		case "features":
			if f.value[0] != '{' {
				wrong = append(wrong, api.Field{Field: "features", Problem: "type", Got: kindOf(f.value), Want: "object"})
				continue
			}
			s.Features = bytes.Clone(f.value)
		default:
			if len(wrong) < maxFields {
				wrong = append(wrong, api.Field{Field: clip(f.name), Problem: "unknown", Want: "application_id, features"})
			}
		}
	}
	if !seen["features"] {
		wrong = append(wrong, api.Field{Field: "features", Problem: "missing", Want: "object"})
	}
	if len(wrong) > 0 {
		return s, api.RefuseFields(wrong...)
	}
	return s, nil
}

// parseID takes the client's id: 1 to maxID bytes, printable, usable as the last part of a path.
func parseID(raw []byte) (string, *api.Field) {
	f := &api.Field{Field: "application_id", Problem: "type", Got: kindOf(raw), Want: "string"}
	var id string
	if raw[0] != '"' || json.Unmarshal(raw, &id) != nil {
		return "", f
	}
	f.Problem, f.Got, f.Want = "invalid", "", "1 to 200 bytes without control characters"
	if id == "" || len(id) > maxID || id == "." || id == ".." || strings.ContainsFunc(id, notPrintable) {
		f.Got = clip(strconv.Quote(id))
		return "", f
	}
	return id, nil
}

func notPrintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

// tooDeep reports whether brackets nest deeper than api.MaxDepth; the text need not be valid JSON.
func tooDeep(body []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > api.MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// malformed says where the JSON breaks.
func malformed(body []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return api.Refuse(api.Malformed, "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	}
	return api.Refuse(api.Malformed, "the body is not JSON")
}

type member struct {
	name  string
	value []byte
}

// splitObject splits an object of valid JSON into its members, in order, without decoding values (encoding/json would
// fold the case of names and keep the last of doubled ones silently).
func splitObject(valid []byte) ([]member, error) {
	rest := bytes.TrimSpace(valid)
	if rest[0] != '{' {
		return nil, api.RefuseFields(api.Field{Field: "body", Problem: "type", Got: kindOf(rest), Want: "object"})
	}
	members := make([]member, 0, 2)
	for rest = skipTo(rest[1:]); rest[0] != '}'; {
		n := valueEnd(rest)
		var m member
		if err := json.Unmarshal(rest[:n], &m.name); err != nil {
			return nil, api.Refuse(api.Malformed, "a key of the body can't be read")
		}
		rest = skipTo(skipTo(rest[n:])[1:]) // the colon
		n = valueEnd(rest)
		m.value = rest[:n]
		members = append(members, m)
		if rest = skipTo(rest[n:]); rest[0] == ',' {
			rest = skipTo(rest[1:])
		}
	}
	return members, nil
}

func skipTo(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueEnd is where the value at the start of valid JSON ends.
func valueEnd(b []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			if inString = !inString; !inString && depth == 0 {
				return i + 1
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t'):
			return i // a number or a literal ends before what follows
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// kindOf names the kind of a JSON value.
func kindOf(value []byte) string {
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
