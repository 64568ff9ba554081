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

// rows checks what the chain vouches for, up to the first row that doesn't hold. What is cheap and certain comes first.
func (r *AuditReport) rows(db *gorm.DB, w *witness, v Vouch) error {
	for _, check := range []func(*gorm.DB, *witness, Vouch) error{
		r.settingRows, r.incidentRows, r.actionRows, r.requestRows, r.effectRows, r.aliasRows, r.versionRows, r.referenceRows,
	} {
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
		if !found || e.Subject != h.Setting || micros(e.At) != h.ChangedAt || !e.says(h.Owner, map[string]any{
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
	err := db.Omit("document").Order("incident_id").Find(&rows).Error
	for _, in := range rows {
		facts := in.facts()
		e := w.incidents[in.IncidentID]
		if !e.has("fingerprint") && w.takenOver[in.IncidentID] {
			delete(facts, "type") // an earlier version recorded no take-over that left the state as it was
			delete(facts, "target")
		}
		r.agrees("incidents", in.IncidentID, w.incidents, facts)
	}
	r.nothingLeft("incidents", w.incidents)
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
		executed := !a.ExecutedAt.time().IsZero()
		effect, took := w.executed[a.ActionID]
		said := a.AGLDecision.String
		allowed := said == AGLApproved || said == AGLModified
		switch {
		case executed != took:
			r.fails("healing_actions", a.ActionID, "whether it was executed, it says %v, the audit %v", executed, took)
		case executed && micros(effect.At) != micros(a.ExecutedAt.time()):
			r.fails("healing_actions", a.ActionID, "it says that it was executed at %s; record %d says %s", a.ExecutedAt, effect.Seq, stamp(effect.At))
		case executed && !allowed:
			r.fails("healing_actions", a.ActionID, "it was executed and is %s", cmp.Or(said, "without a decision"))
		case allowed && !leave[a.ActionID+" "+said+" "+a.Digest]:
			r.fails("healing_actions", a.ActionID, "it is %s, and there is no such decision about exactly it", said)
		}
		r.actionFacts(a, w)
		if !allowed && (a.Digest == "" || w.agl[a.ActionID] == "") {
			continue
		}
		if digest, err := v.Digest(a.ActionType, document(a.Params), document(a.Inverse)); err != nil || digest != a.Digest {
			r.fails("healing_actions", a.ActionID, "its parameters or its inverse are not what was decided")
		}
	}
	r.nothingLeft("healing_actions", w.actions)
	return nil
}

// actionFacts compares an action with its last record, and with what governance said since. The records of an earlier
// version say neither its decision nor its times.
func (r *AuditReport) actionFacts(a storedAction, w *witness) {
	facts := a.facts()
	agl, known := w.agl[a.ActionID]
	if known && agl != a.AGLDecision.String {
		r.fails("healing_actions", a.ActionID, "its agl_decision is %q; the last record of that says %q", a.AGLDecision.String, agl)
	}
	if digest, modified := w.digests[a.ActionID]; known && modified && digest != a.Digest {
		r.fails("healing_actions", a.ActionID, "it is not the action that was approved with other parameters")
	} else if !known || modified {
		delete(facts, "digest")
	}
	delete(facts, "agl")
	r.agrees("healing_actions", a.ActionID, w.actions, facts)
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
		facts := map[string]any{
			"incident": d.IncidentID, "action": d.ActionID, "rule": d.Rule, "reason": d.Reason,
			"inputs": json.RawMessage(d.Inputs),
		}
		if e.has("decided_at") {
			facts["decided_at"], facts["expires_at"] = d.DecidedAt, d.ExpiresAt
		}
		if found = found && json.Unmarshal(e.Detail, &said) == nil; found {
			facts["digest"] = said.Digest
		}
		if !found || !e.says(d.DecidedBy, facts) {
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
