package healing

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// forger makes decisions that nobody has given, each from a true one, which is never used itself.
type forger struct {
	*rand.Rand
	w        *world
	stranger ed25519.PrivateKey
	n        int
	used     policy.Envelope // of an action that took effect
}

// order is a true one, with its decision in signed and in plain form.
func (f *forger) order() (Order, policy.Envelope) {
	f.n++
	action := policy.Action{Type: incident.EnableSafeMode, Params: map[string]string{"why": fmt.Sprint(f.n)}, Inverse: &policy.Action{Type: incident.DisableSafeMode}}
	o := Order{ActionID: fmt.Sprintf("INC/a%d", f.n), IncidentID: "INC", Purpose: policy.Forward, Action: action, Reason: "test"}
	now := time.Now()
	e := policy.Envelope{
		DecisionID: o.ActionID + "/r1", ActionID: o.ActionID, Digest: action.Digest(), IncidentID: o.IncidentID, Decision: policy.Approved,
		Purpose: o.Purpose, Proposer: "healing", Approver: "rule:demo", Audience: policy.AudienceExecutor, Nonce: fmt.Sprint("n", f.n),
		Issued: now.UnixMicro(), Expires: now.Add(time.Minute).UnixMicro(),
	}
	return o, e
}

// signed is what policy.Sign makes, by any key under any name, and of what it would refuse to sign.
func (f *forger) signed(e policy.Envelope, key ed25519.PrivateKey, id string) []byte {
	message := append([]byte("aura policy decision v1\n"), encode(e)...)
	return encode(policy.Signed{Envelope: e, KeyID: id, Signature: ed25519.Sign(key, message)})
}

func (f *forger) own(e policy.Envelope) []byte {
	return f.signed(e, f.w.key, policy.KeyID(f.w.key.Public().(ed25519.PublicKey)))
}

// ways to forge: each gets a true order and its decision, and returns the order as it is handed to the executor.
func (f *forger) ways() map[string]func(o Order, e policy.Envelope) Order {
	id := policy.KeyID(f.w.key.Public().(ed25519.PublicKey))
	with := func(o Order, raw []byte) Order { o.Envelope = raw; return o }
	return map[string]func(o Order, e policy.Envelope) Order{
		"another key": func(o Order, e policy.Envelope) Order {
			return with(o, f.signed(e, f.stranger, policy.KeyID(f.stranger.Public().(ed25519.PublicKey))))
		},
		"another key under our name": func(o Order, e policy.Envelope) Order { return with(o, f.signed(e, f.stranger, id)) },
		"a field of the decision, not signed again": func(o Order, e policy.Envelope) Order {
			var s policy.Signed
			if err := json.Unmarshal(f.own(e), &s); err != nil {
				f.w.t.Fatal(err)
			}
			f.alter(&s.Envelope)
			return with(o, encode(s))
		},
		"a decision about something else": func(o Order, e policy.Envelope) Order { f.divert(&e); return with(o, f.own(e)) },
		"an action that was not decided":  func(o Order, e policy.Envelope) Order { o = with(o, f.own(e)); f.change(&o); return o },
		"expired": func(o Order, e policy.Envelope) Order {
			ago := int64(f.IntN(1e9)) + 60e6
			e.Issued, e.Expires = e.Issued-ago, e.Expires-ago
			return with(o, f.own(e))
		},
		"of the future": func(o Order, e policy.Envelope) Order {
			ahead := int64(f.IntN(1e9)) + 3e6
			e.Issued, e.Expires = e.Issued+ahead, e.Expires+ahead
			return with(o, f.own(e))
		},
		"too long": func(o Order, e policy.Envelope) Order {
			e.Expires += 1e9 + int64(f.IntN(1e9))
			return with(o, f.own(e))
		},
		"used before":                         func(o Order, e policy.Envelope) Order { e.Nonce = f.used.Nonce; return with(o, f.own(e)) },
		"the very decision of another action": func(o Order, _ policy.Envelope) Order { return with(o, f.own(f.used)) },
		"bytes":                               func(o Order, e policy.Envelope) Order { return with(o, f.damage(f.own(e))) },
		"no decision": func(o Order, _ policy.Envelope) Order {
			return with(o, []byte([]string{"", "null", "{}", "yes", "[]", `""`}[f.IntN(6)]))
		},
	}
}

// alter changes one field to another value.
func (f *forger) alter(e *policy.Envelope) {
	texts := []*string{&e.DecisionID, &e.ActionID, &e.Digest, &e.IncidentID, &e.Decision, &e.Purpose, &e.PolicyVersion, &e.Proposer, &e.Approver, &e.Audience, &e.Nonce}
	switch i := f.IntN(len(texts) + 2); i {
	case len(texts):
		e.Issued -= 1 + int64(f.IntN(1e6))
	case len(texts) + 1:
		e.Expires += 1 + int64(f.IntN(1e6))
	default:
		*texts[i] = f.other(*texts[i])
	}
}

// other is a text that differs: longer, shorter, or by one letter.
func (f *forger) other(s string) string {
	if s == "" || f.IntN(3) == 0 {
		return s + string(rune('a'+f.IntN(26)))
	}
	i := f.IntN(len(s))
	if f.IntN(2) == 0 {
		return s[:i] + s[i+1:]
	}
	return s[:i] + string('0'+(s[i]-'0'+1)%10) + s[i+1:]
}

// divert makes a sound decision about something else than the order.
func (f *forger) divert(e *policy.Envelope) {
	switch f.IntN(6) {
	case 0:
		e.ActionID = f.other(e.ActionID)
	case 1:
		e.Digest = policy.Action{Type: incident.EnableSafeMode, Params: map[string]string{"why": fmt.Sprint(f.Uint64())}}.Digest()
	case 2:
		e.IncidentID = f.other(e.IncidentID)
	case 3:
		e.Purpose = []string{policy.Undo, policy.Restore, "", "forward"}[f.IntN(4)]
	case 4:
		e.Audience = f.other(e.Audience)
	case 5:
		e.Decision = []string{policy.Denied, policy.Escalated, "", "approved"}[f.IntN(4)]
	}
}

// change makes the order another one than was decided.
func (f *forger) change(o *Order) {
	o.Action.Params = maps.Clone(o.Action.Params)
	switch f.IntN(7) {
	case 0:
		o.ActionID = f.other(o.ActionID)
	case 1:
		o.IncidentID = f.other(o.IncidentID)
	case 2:
		o.Purpose = []string{policy.Undo, policy.Restore, ""}[f.IntN(3)]
	case 3:
		o.Action.Type = incident.DisableSafeMode
	case 4:
		o.Action.Params[f.other("why")] = "x"
	case 5:
		o.Action.Params["why"] = f.other(o.Action.Params["why"])
	case 6:
		o.Action.Inverse = []*policy.Action{nil, {Type: incident.EnableSafeMode}, {Type: incident.DisableSafeMode, Params: map[string]string{"x": "y"}}}[f.IntN(3)]
	}
}

// damage changes the bytes; what is left is never the same text.
func (f *forger) damage(raw []byte) []byte {
	i := f.IntN(len(raw))
	switch f.IntN(5) {
	case 0:
		raw[i] ^= byte(1 << f.IntN(8))
	case 1:
		raw = raw[:i]
	case 2:
		raw = append(raw, raw[i:]...)
	case 3:
		raw = slices.Insert(raw, i, ' ', '\n', '{')
	case 4: // a second field of the same name: which one counts must not matter
		raw = bytes.Replace(raw, []byte(`{"decision_id"`), []byte(`{"decision_id":"x","decision_id"`), 1)
	}
	return raw
}

// TestTenThousandForgeries: forged, replayed, expired and altered decisions, of every kind and by one seed; none executes.
func TestTenThousandForgeries(t *testing.T) {
	const seed = 4
	forgeries := 10_000
	if testing.Short() {
		forgeries = 1000
	}
	run(t, func(w *world) {
		t := w.t // the bubble's own
		lease, err := w.store.AcquireLease(t.Context(), store.LeaseHealing, Name, 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		public := w.key.Public().(ed25519.PublicKey)
		x := NewExecutor(w.store, map[string]ed25519.PublicKey{policy.KeyID(public): public}, w.targets, time.Now)
		_, stranger, _ := ed25519.GenerateKey(nil)
		f := &forger{Rand: rand.New(rand.NewPCG(seed, 0)), w: w, stranger: stranger}
		honest := func() {
			o, e := f.order()
			o.Envelope = f.own(e)
			if _, err := x.Execute(t.Context(), lease.Epoch, o); err != nil {
				t.Fatalf("a true decision was refused: %v", err)
			}
			f.used = e
		}
		honest()
		ways := f.ways()
		names := slices.Sorted(maps.Keys(ways))
		for i := range forgeries {
			name := names[i%len(names)]
			o, e := f.order()
			o = ways[name](o, e)
			_, err := x.Execute(t.Context(), lease.Epoch, o)
			var refused *Refused
			if !errors.As(err, &refused) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrKey) {
				t.Fatalf("seed %d, forgery %d, %s: %v\n%s", seed, i, name, err, o.Envelope)
			}
			if _, err := w.store.Executed(t.Context(), o.ActionID); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("seed %d, forgery %d, %s: executed (%v)", seed, i, name, err)
			}
		}
		if n := w.modeChanges(); n != 1 {
			t.Errorf("%d changes of mode, want the one that was decided", n)
		}
		honest() // it was not the executor that had stopped
		t.Logf("0 of %d forged decisions of %d kinds executed (seed %d)", forgeries, len(names), seed)
	})
}
