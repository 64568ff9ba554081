package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// Vouch knows what is signed; the store itself can't tell.
type Vouch struct {
	// Open reads a signed decision. publics are the public keys that the audit names, by id.
	Open func(raw []byte, publics map[string][]byte) (Seal, error)
	// Digest is that of an action.
	Digest func(kind string, params, inverse json.RawMessage) (string, error)
}

// Seal is what a signed decision says. Unproven: its key is not on record any more, so that nobody can tell whether the
// signature is genuine.
type Seal struct {
	RequestID, ActionID, IncidentID, Digest, Verdict, Approver string
	Unproven                                                   bool
}

// KindPublicKey is the kind of the record that keeps a public key: its id is the subject, {"public": base64} the detail.
const KindPublicKey = "key.public"

// witness is what the chain says of rows in other tables.
type witness struct {
	settings  map[string]AuditEntry // by the id of the change
	verdicts  map[string]AuditEntry // by request and kind
	incidents map[string]AuditEntry // the last of each
	executed  map[string]bool
	publics   map[string][]byte
}

func newWitness() *witness {
	return &witness{map[string]AuditEntry{}, map[string]AuditEntry{}, map[string]AuditEntry{}, map[string]bool{}, map[string][]byte{}}
}

// hear keeps what a record says of rows.
func (w *witness) hear(e AuditEntry) {
	var d struct {
		Change     int64
		FromStatus *string `json:"from_status"`
		Public     []byte
	}
	switch kind, _, _ := strings.Cut(e.Kind, "."); kind {
	case "setting", "incident", "policy", "action", "key":
		if json.Unmarshal(e.Detail, &d) != nil {
			return
		}
	}
	switch {
	case e.Kind == "setting.changed":
		w.settings[strconv.FormatInt(d.Change, 10)] = e
	case strings.HasPrefix(e.Kind, "incident.") && d.FromStatus != nil:
		w.incidents[e.Subject] = e
	case e.Kind == "action.executed":
		w.executed[e.Subject] = true
	case e.Kind == KindPublicKey:
		w.publics[e.Subject] = d.Public
	}
	for _, v := range [...]string{AGLApproved, AGLDenied, AGLModified, AGLEscalated} {
		if e.Kind == "policy."+strings.ToLower(v) {
			w.verdicts[e.Subject+" "+v] = e
		}
	}
}

// rows checks what the chain vouches for, up to the first row that doesn't hold. What is cheap and certain comes first.
func (r *AuditReport) rows(db *gorm.DB, w *witness, v Vouch) error {
	for _, check := range []func(*gorm.DB, *witness, Vouch) error{r.settingRows, r.incidentRows, r.actionRows} {
		if err := check(db, w, v); err != nil || r.Row != "" {
			return err
		}
	}
	return nil
}

// fails names the first row that doesn't hold.
func (r *AuditReport) fails(table, id, problem string, args ...any) {
	if r.Row == "" {
		r.Row, r.Problem = table+" "+id, fmt.Sprintf(problem, args...)
	}
}

// says reports whether a record says exactly v.
func (e AuditEntry) says(actor string, v map[string]any) bool {
	want, err := json.Marshal(v)
	return err == nil && e.Actor == actor && string(e.Detail) == string(want)
}

func (r *AuditReport) settingRows(db *gorm.DB, w *witness, _ Vouch) error {
	var history []storedConfigChange
	if err := db.Order("id").Find(&history).Error; err != nil {
		return err
	}
	newest := map[string]storedSetting{
		SettingMode:      {Setting: SettingMode, Value: string(ModeModel), Generation: 1, Owner: "aura", Reason: "initial"},
		SettingChampion:  {Setting: SettingChampion, Value: "0", Owner: "aura", Reason: "initial"},
		SettingReference: {Setting: SettingReference, Owner: "aura", Reason: "initial"},
	}
	for _, h := range history {
		r.Rows++
		id := strconv.FormatInt(h.ID, 10)
		e, found := w.settings[id]
		delete(w.settings, id)
		if !found || e.Subject != h.Setting || !e.says(h.Owner, map[string]any{
			"value": h.Value, "previous": h.Previous, "generation": h.Generation, "change": h.ID, "reason": h.Reason,
			"held_by": h.HeldBy, "person": h.Person, "action": h.ActionID,
		}) {
			r.fails("config_history", id, "%s became %q by %s: the audit has no such change", h.Setting, h.Value, h.Owner)
			return nil
		}
		newest[h.Setting] = storedSetting{h.Setting, h.Value, h.Generation, h.Owner, h.Reason, h.HeldBy, h.ChangedAt}
	}
	for id, e := range w.settings {
		r.fails("config_history", id, "it is missing: record %d of the audit has this change of %s", e.Seq, e.Subject)
		return nil
	}
	var now []storedSetting
	if err := db.Order("setting").Find(&now).Error; err != nil {
		return err
	}
	for _, s := range now {
		r.Rows++
		if s != newest[s.Setting] {
			r.fails("desired_state", s.Setting, "it is %q by %s; its history says %q by %s", s.Value, s.Owner, newest[s.Setting].Value, newest[s.Setting].Owner)
		}
		delete(newest, s.Setting)
	}
	for name := range newest {
		r.fails("desired_state", name, "it is missing")
	}
	return nil
}

func (r *AuditReport) incidentRows(db *gorm.DB, w *witness, _ Vouch) error {
	var rows []storedIncident
	err := db.Select("incident_id", "status", "state", "degraded").Order("incident_id").Find(&rows).Error
	for _, in := range rows {
		r.Rows++
		var said struct {
			Status, State string
			Degraded      bool
		}
		e, found := w.incidents[in.IncidentID]
		delete(w.incidents, in.IncidentID)
		if !found || json.Unmarshal(e.Detail, &said) != nil || said.Status != in.Status || said.State != in.State || said.Degraded != in.Degraded {
			r.fails("incidents", in.IncidentID, "it is %s %s, degraded %v; the last record of it says %s %s, %v", in.Status, in.State,
				in.Degraded, said.Status, said.State, said.Degraded)
		}
	}
	for id, e := range w.incidents {
		r.fails("incidents", id, "it is missing: record %d of the audit is about it", e.Seq)
	}
	return err
}

// actionRows checks verdicts, and that whatever was allowed or executed has one.
func (r *AuditReport) actionRows(db *gorm.DB, w *witness, v Vouch) error {
	leave, err := r.verdictRows(db, w, v)
	if err != nil || r.Row != "" {
		return err
	}
	var rows []storedAction
	if err := db.Omit("document").Order("action_id").Find(&rows).Error; err != nil {
		return err
	}
	for _, a := range rows {
		r.Rows++
		executed := !a.ExecutedAt.time().IsZero()
		said := a.AGLDecision.String
		allowed := said == AGLApproved || said == AGLModified
		switch {
		case executed != w.executed[a.ActionID]:
			r.fails("healing_actions", a.ActionID, "whether it was executed, it says %v, the audit %v", executed, w.executed[a.ActionID])
		case executed && !allowed:
			r.fails("healing_actions", a.ActionID, "it was executed and is %s", cmp.Or(said, "without a decision"))
		case allowed && !leave[a.ActionID+" "+said+" "+a.Digest]:
			r.fails("healing_actions", a.ActionID, "it is %s, and there is no such decision about exactly it", said)
		}
		if !allowed {
			continue
		}
		if digest, err := v.Digest(a.ActionType, document(a.Params), document(a.Inverse)); err != nil || digest != a.Digest {
			r.fails("healing_actions", a.ActionID, "its parameters or its inverse are not what was decided")
		}
	}
	return nil
}

// verdictRows returns what was allowed: action, verdict and digest.
func (r *AuditReport) verdictRows(db *gorm.DB, w *witness, v Vouch) (leave map[string]bool, err error) {
	var rows []storedVerdict
	if err := db.Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	leave = map[string]bool{}
	for _, d := range rows {
		r.Rows++
		id := strconv.FormatInt(d.ID, 10) + " (request " + d.RequestID + ")"
		e, found := w.verdicts[d.RequestID+" "+d.Verdict]
		delete(w.verdicts, d.RequestID+" "+d.Verdict)
		var said struct{ Digest string }
		if !found || json.Unmarshal(e.Detail, &said) != nil || !e.says(d.DecidedBy, map[string]any{
			"incident": d.IncidentID, "action": d.ActionID, "digest": said.Digest, "rule": d.Rule, "reason": d.Reason,
			"inputs": json.RawMessage(d.Inputs),
		}) {
			r.fails("policy_decisions", id, "%s by %s: the audit has no such verdict", d.Verdict, d.DecidedBy)
			return nil, nil
		}
		if problem := r.seal(d, said.Digest, w, v); problem != "" {
			r.fails("policy_decisions", id, "%s", problem)
			return nil, nil
		}
		leave[d.ActionID+" "+d.Verdict+" "+said.Digest] = true
	}
	for id, e := range w.verdicts {
		r.fails("policy_decisions", "of request "+strings.Fields(id)[0], "it is missing: record %d of the audit is about it", e.Seq)
	}
	return leave, nil
}

// seal compares a verdict with what is signed.
func (r *AuditReport) seal(d storedVerdict, digest string, w *witness, v Vouch) (problem string) {
	if d.Verdict != AGLApproved && d.Verdict != AGLModified {
		if len(d.Envelope) > 0 {
			return "it is " + d.Verdict + " and has a signed decision, which only an approval has"
		}
		return ""
	}
	got, err := v.Open(d.Envelope, w.publics)
	if err != nil {
		return "its signed decision doesn't hold: " + err.Error()
	}
	if got.Unproven {
		r.Unproven++
	}
	got.Unproven = false
	approver := d.DecidedBy
	if strings.HasPrefix(got.Approver, "rule:") {
		approver = "rule:" + d.Rule
	}
	if got != (Seal{d.RequestID, d.ActionID, d.IncidentID, digest, d.Verdict, approver, false}) {
		return "its signed decision is " + got.Verdict + " by " + got.Approver + " about " + got.ActionID + ", and not what the row says"
	}
	return ""
}
