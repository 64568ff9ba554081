package policy

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxTTL bounds how long a signed decision may be used.
const MaxTTL = 5 * time.Minute

// skew is how far the issuer's clock may be ahead.
const skew = 2 * time.Second

// maxEnvelope bounds what Verify reads.
const maxEnvelope = 16 << 10

// domain keeps a signature from being mistaken for one over something else.
const domain = "aura policy decision v1\n"

// Action is what a decision is bound to, exactly.
type Action struct {
	Type    string            `json:"action_type"`
	Params  map[string]string `json:"params"`
	Inverse *Action           `json:"inverse"`
}

// Digest is the SHA-256, in hex, of the action's canonical JSON: type, parameters sorted by name, inverse likewise. No
// parameters and an empty set are the same.
func (a Action) Digest() string {
	sum := sha256.Sum256(canonical(a.normal()))
	return hex.EncodeToString(sum[:])
}

func (a Action) normal() Action {
	if a.Params == nil {
		a.Params = map[string]string{}
	}
	if a.Inverse != nil {
		inverse := a.Inverse.normal()
		a.Inverse = &inverse
	}
	return a
}

// Envelope is one decision, in the order in which it is signed. Times are microseconds UTC.
type Envelope struct {
	DecisionID    string `json:"decision_id"`
	ActionID      string `json:"action_id"`
	Digest        string `json:"digest"`
	IncidentID    string `json:"incident_id"`
	Decision      string `json:"agl_decision"` // APPROVED or MODIFIED; nothing else is ever signed
	Purpose       string `json:"purpose"`
	PolicyVersion string `json:"policy_version"`
	Proposer      string `json:"proposer"`
	Approver      string `json:"approver"` // a person, or the rule as rule:<name>
	Audience      string `json:"audience"`
	Nonce         string `json:"nonce"`
	Issued        int64  `json:"issued"`
	Expires       int64  `json:"expires"`
}

// Signed is the wire form.
type Signed struct {
	Envelope  Envelope `json:"envelope"`
	KeyID     string   `json:"key_id"`
	Signature []byte   `json:"signature"`
}

// Why a signed decision is refused.
var (
	ErrMalformed = errors.New("policy: not a signed decision in canonical form")
	ErrKey       = errors.New("policy: signed with an unknown key")
	ErrSignature = errors.New("policy: the signature does not fit")
	ErrNotYes    = errors.New("policy: the decision does not approve")
	ErrAudience  = errors.New("policy: meant for somebody else")
	ErrAction    = errors.New("policy: for another action")
	ErrIncident  = errors.New("policy: for another incident")
	ErrPurpose   = errors.New("policy: for another purpose")
	ErrDigest    = errors.New("policy: action, parameters or inverse differ from what was decided")
	ErrWindow    = errors.New("policy: its time window makes no sense or is too long")
	ErrNotYet    = errors.New("policy: issued in the future")
	ErrExpired   = errors.New("policy: expired")
	ErrReplayed  = errors.New("policy: used already")
)

// KeyID names a public key.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

func canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("policy: strings, numbers and maps of strings always encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Sign makes the wire form. It refuses to sign what Verify would never accept.
func Sign(e Envelope, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: not an Ed25519 private key", ErrKey)
	}
	if err := e.sound(); err != nil {
		return nil, err
	}
	message := append([]byte(domain), canonical(e)...)
	return canonical(Signed{e, KeyID(key.Public().(ed25519.PublicKey)), ed25519.Sign(key, message)}), nil
}

// sound checks what must hold of any decision.
func (e Envelope) sound() error {
	switch {
	case e.DecisionID == "" || e.ActionID == "" || e.IncidentID == "" || e.Audience == "" || e.Nonce == "" || e.Approver == "" || e.Proposer == "" || len(e.Digest) != 64:
		return fmt.Errorf("%w: a field is empty", ErrMalformed)
	case e.Decision != Approved && e.Decision != Modified:
		return ErrNotYes
	case e.Approver == e.Proposer:
		return ErrSelfApproval
	case e.Expires <= e.Issued || e.Expires-e.Issued > MaxTTL.Microseconds():
		return ErrWindow
	}
	return nil
}

// Nonces remembers what was used. Use reports whether this was the first time, and keeps the nonce at least until
// expires; the store does it in the transaction of the change itself.
type Nonces interface {
	Use(nonce string, expires time.Time) (first bool, err error)
}

// Expected is what the executor is about to do.
type Expected struct {
	ActionID   string
	IncidentID string
	Purpose    string
	Audience   string
	Action     Action
	// Floor is the latest time this executor has known: a clock that was put back revives nothing.
	Floor time.Time
}

// Verify checks a signed decision against what is about to be done, and uses it up; nonces may be nil where the caller
// does that itself with the envelope returned. Any difference from the canonical bytes refuses it.
func Verify(raw []byte, want Expected, keys map[string]ed25519.PublicKey, nonces Nonces, now time.Time) (Envelope, error) {
	e, err := open(raw, keys)
	if err != nil {
		return Envelope{}, err
	}
	if err := e.sound(); err != nil {
		return Envelope{}, err
	}
	if want.Floor.After(now) {
		now = want.Floor
	}
	switch {
	case e.Audience != want.Audience:
		return Envelope{}, ErrAudience
	case e.ActionID != want.ActionID:
		return Envelope{}, ErrAction
	case e.IncidentID != want.IncidentID:
		return Envelope{}, ErrIncident
	case e.Purpose != want.Purpose:
		return Envelope{}, ErrPurpose
	case e.Digest != want.Action.Digest():
		return Envelope{}, ErrDigest
	case e.Issued > now.Add(skew).UnixMicro():
		return Envelope{}, ErrNotYet
	case now.UnixMicro() >= e.Expires:
		return Envelope{}, ErrExpired
	}
	if nonces == nil {
		return e, nil
	}
	first, err := nonces.Use(e.Nonce, time.UnixMicro(e.Expires).UTC())
	if err != nil {
		return Envelope{}, fmt.Errorf("policy: using the nonce up: %w", err)
	}
	if !first {
		return Envelope{}, ErrReplayed
	}
	return e, nil
}

// Open reads a signed decision for the record: that it is genuine, not that it may be used. ErrKey: signed with none of keys,
// and what it says is returned.
func Open(raw []byte, keys map[string]ed25519.PublicKey) (Envelope, error) {
	e, err := open(raw, keys)
	if errors.Is(err, ErrKey) {
		var s Signed
		_ = json.Unmarshal(raw, &s) // open has read it
		return s.Envelope, err
	}
	return e, err
}

// open decodes the wire form and checks its signature.
func open(raw []byte, keys map[string]ed25519.PublicKey) (Envelope, error) {
	if len(raw) > maxEnvelope {
		return Envelope{}, ErrMalformed
	}
	var s Signed
	if err := json.Unmarshal(raw, &s); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// One value, one text: no other spacing, order, case, doubled or unknown field.
	if !bytes.Equal(raw, canonical(s)) {
		return Envelope{}, ErrMalformed
	}
	key, known := keys[s.KeyID]
	if !known || len(key) != ed25519.PublicKeySize {
		return Envelope{}, ErrKey
	}
	if !ed25519.Verify(key, append([]byte(domain), canonical(s.Envelope)...), s.Signature) {
		return Envelope{}, ErrSignature
	}
	return s.Envelope, nil
}
