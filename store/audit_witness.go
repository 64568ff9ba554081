package store

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// witness is what the chain says of rows in other tables.
type witness struct {
	settings   entries // by the id of the change
	verdicts   entries // by request and kind
	incidents  entries // the last of each, as of what follows
	takenOver  map[string]bool
	actions    entries
	agl        map[string]string // of each action, by the last record that speaks of it
	digests    map[string]string // of each action that was modified since its last record
	executed   entries
	requests   entries // how each was asked
	statuses   map[string]string
	versions   entries
	references entries
	aliases    []AuditEntry // all, in order
	publics    map[string][]byte
}

type entries = map[string]AuditEntry

func newWitness() *witness {
	return &witness{
		settings: entries{}, verdicts: entries{}, incidents: entries{}, takenOver: map[string]bool{}, actions: entries{},
		agl: map[string]string{}, digests: map[string]string{}, executed: entries{}, requests: entries{},
		statuses: map[string]string{}, versions: entries{}, references: entries{}, publics: map[string][]byte{},
	}
}

// hear keeps what a record says of rows.
func (w *witness) hear(e AuditEntry) {
	var d struct {
		Change     int64
		FromStatus *string `json:"from_status"`
		Public     []byte
		Text       string
		AGL        *string
		Action     json.RawMessage
		Digest     string
	}
	kind, what, _ := strings.Cut(e.Kind, ".")
	switch kind {
	case "setting", "incident", "policy", "action", "key":
		if json.Unmarshal(e.Detail, &d) != nil {
			return
		}
	}
	switch {
	case e.Kind == "setting.changed":
		w.settings[strconv.FormatInt(d.Change, 10)] = e
	case strings.HasPrefix(e.Kind, "incident.") && d.FromStatus != nil:
		w.incidents[e.Subject], w.takenOver[e.Subject] = e, false
	case e.Kind == "incident.step" && strings.Contains(d.Text, " is the cause of "):
		w.takenOver[e.Subject] = true
	case e.Kind == "action.executed":
		w.executed[e.Subject] = e
	case kind == "action" && slices.Contains([]string{"proposed", "result", "undone", "changed"}, what):
		w.actions[e.Subject] = e
		delete(w.digests, e.Subject)
		if delete(w.agl, e.Subject); d.AGL != nil {
			w.agl[e.Subject] = *d.AGL
		}
	case e.Kind == "alias.moved":
		w.aliases = append(w.aliases, e)
	case e.Kind == "model.registered":
		w.versions[e.Subject] = e
	case e.Kind == "reference.made", e.Kind == "reference.grown":
		w.references[e.Subject] = e
	case e.Kind == KindPublicKey:
		w.publics[e.Subject] = d.Public
	case kind == "policy":
		var action string
		if json.Unmarshal(d.Action, &action) == nil {
			w.hearPolicy(e, what, action, d.Digest)
		}
	}
}

// hearPolicy keeps what became of a request, and of its action.
func (w *witness) hearPolicy(e AuditEntry, what, action, digest string) {
	said := strings.ToUpper(what)
	switch what {
	case "requested":
		w.requests[e.Subject] = e
		said = RequestPending
	case "withdrawn":
		w.statuses[e.Subject] = RequestWithdrawn
		return
	case "approved", "denied", "modified", "escalated":
		w.verdicts[e.Subject+" "+said] = e
	default:
		return
	}
	w.statuses[e.Subject] = said
	if _, known := w.agl[action]; known {
		w.agl[action] = said
	}
	if said == AGLModified {
		w.digests[action] = digest
	}
}
