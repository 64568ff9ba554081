package policy

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func testKey(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func keysOf(keys ...ed25519.PrivateKey) map[string]ed25519.PublicKey {
	out := map[string]ed25519.PublicKey{}
	for _, k := range keys {
		public := k.Public().(ed25519.PublicKey)
		out[KeyID(public)] = public
	}
	return out
}

var rollback = Action{Type: "ROLLBACK_MODEL", Params: map[string]string{"version": "3", "digest": "abc"}, Inverse: &Action{Type: "RESTORE_MODEL", Params: map[string]string{"version": "4"}}}

func envelope() Envelope {
	return Envelope{
		DecisionID: "d1", ActionID: "i1/a1", Digest: rollback.Digest(), IncidentID: "i1", Decision: Approved, Purpose: Forward,
		PolicyVersion: "v1", Proposer: "healing", Approver: "rule:demo", Audience: "executor", Nonce: "n1",
		Issued: t0.UnixMicro(), Expires: t0.Add(time.Minute).UnixMicro(),
	}
}

func wanted() Expected {
	return Expected{ActionID: "i1/a1", IncidentID: "i1", Purpose: Forward, Audience: "executor", Action: rollback}
}

type used map[string]bool

func (u used) Use(nonce string, _ time.Time) (bool, error) {
	first := !u[nonce]
	u[nonce] = true
	return first, nil
}

func signed(t testing.TB, e Envelope) []byte {
	t.Helper()
	raw, err := Sign(e, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	keys := keysOf(testKey(1))
	ok := signed(t, envelope())
	nonces := used{}
	if e, err := Verify(ok, wanted(), keys, nonces, t0); err != nil || e != envelope() {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := Verify(ok, wanted(), keys, nonces, t0); !errors.Is(err, ErrReplayed) {
		t.Errorf("replayed: %v", err)
	}
	forged, _ := Sign(envelope(), testKey(2))
	stolen := bytes.Replace(forged, []byte(KeyID(testKey(2).Public().(ed25519.PublicKey))), []byte(KeyID(testKey(1).Public().(ed25519.PublicKey))), 1)
	change := func(f func(*Expected)) Expected { w := wanted(); f(&w); return w }
	later := func(d time.Duration) time.Time { return t0.Add(d) }
	for _, c := range []struct {
		name string
		raw  []byte
		want Expected
		now  time.Time
		err  error
	}{
		{"no JSON", []byte("yes"), wanted(), t0, ErrMalformed},
		{"empty", nil, wanted(), t0, ErrMalformed},
		{"spaces", append(ok, ' '), wanted(), t0, ErrMalformed},
		{"another order or a double", bytes.Replace(ok, []byte(`"nonce":"n1"`), []byte(`"nonce":"n1","nonce":"n1"`), 1), wanted(), t0, ErrMalformed},
		{"other case", bytes.Replace(ok, []byte(`"nonce"`), []byte(`"Nonce"`), 1), wanted(), t0, ErrMalformed},
		{"huge", bytes.Repeat([]byte("a"), 1<<20), wanted(), t0, ErrMalformed},
		{"unknown key", forged, wanted(), t0, ErrKey},
		{"another key under our name", stolen, wanted(), t0, ErrSignature},
		{"altered nonce", bytes.Replace(ok, []byte(`"n1"`), []byte(`"n2"`), 1), wanted(), t0, ErrSignature},
		{"audience", ok, change(func(w *Expected) { w.Audience = "other" }), t0, ErrAudience},
		{"action id", ok, change(func(w *Expected) { w.ActionID = "i1/a2" }), t0, ErrAction},
		{"incident", ok, change(func(w *Expected) { w.IncidentID = "i2" }), t0, ErrIncident},
		{"purpose", ok, change(func(w *Expected) { w.Purpose = Undo }), t0, ErrPurpose},
		{"type", ok, change(func(w *Expected) { w.Action.Type = "PROMOTE_MODEL" }), t0, ErrDigest},
		{"params", ok, change(func(w *Expected) { w.Action.Params = map[string]string{"version": "5", "digest": "abc"} }), t0, ErrDigest},
		{"inverse", ok, change(func(w *Expected) { w.Action.Inverse = nil }), t0, ErrDigest},
		{"expired", ok, wanted(), later(time.Minute), ErrExpired},
		{"before its time", ok, wanted(), later(-time.Hour), ErrNotYet},
		{"clock put back", ok, change(func(w *Expected) { w.Floor = later(2 * time.Minute) }), later(30 * time.Second), ErrExpired},
	} {
		if _, err := Verify(c.raw, c.want, keys, used{}, c.now); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*Envelope)
		err    error
	}{
		{func(e *Envelope) { e.Decision = Denied }, ErrNotYes},
		{func(e *Envelope) { e.Decision = Pending }, ErrNotYes},
		{func(e *Envelope) { e.Expires = e.Issued + (MaxTTL + time.Microsecond).Microseconds() }, ErrWindow},
		{func(e *Envelope) { e.Expires = e.Issued }, ErrWindow},
		{func(e *Envelope) { e.Nonce = "" }, ErrMalformed},
		{func(e *Envelope) { e.Approver = e.Proposer }, ErrSelfApproval},
	} {
		e := envelope()
		c.change(&e)
		if _, err := Sign(e, testKey(1)); !errors.Is(err, c.err) {
			t.Errorf("%v, want %v", err, c.err)
		}
	}
	if _, err := Sign(envelope(), nil); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestDigestTellsActionsApart(t *testing.T) {
	if (Action{Type: "A"}).Digest() != (Action{Type: "A", Params: map[string]string{}}).Digest() {
		t.Error("no parameters and an empty set differ")
	}
	seen := map[string]Action{}
	for _, a := range []Action{
		rollback,
		{Type: "A"},
		{Type: "A", Params: map[string]string{"a": "b"}},
		{Type: "A", Params: map[string]string{"a": `b","c":"d`}},
		{Type: "A", Params: map[string]string{"a": "b", "c": "d"}},
		{Type: "A", Inverse: &Action{Type: "A"}},
		{Type: "A", Inverse: &Action{Type: "A", Params: map[string]string{"a": "b"}}},
	} {
		if other, twice := seen[a.Digest()]; twice {
			t.Errorf("%+v and %+v have one digest", a, other)
		}
		seen[a.Digest()] = a
	}
}

// TestMutations: of 10,000 forged, replayed, expired or altered decisions none is accepted.
func TestMutations(t *testing.T) {
	const n = 10_000
	seed := uint64(4)
	r := rand.New(rand.NewPCG(seed, 1))
	keys := keysOf(testKey(1))
	accepted := map[string]int{}
	for i := range n {
		raw, want, now, nonces, kind := mutate(t, r, i)
		if _, err := Verify(raw, want, keys, nonces, now); err == nil {
			accepted[kind]++
		}
	}
	if len(accepted) > 0 {
		t.Errorf("seed %d: accepted %v of %d", seed, accepted, n)
	}
}

func mutate(t *testing.T, r *rand.Rand, i int) (raw []byte, want Expected, now time.Time, nonces used, kind string) {
	raw, want, now, nonces = signed(t, envelope()), wanted(), t0.Add(time.Duration(r.IntN(59))*time.Second), used{}
	other := func() string { return strings.Repeat("x", 1+r.IntN(8)) }
	switch i % 8 {
	case 0: // one bit
		raw[r.IntN(len(raw))] ^= 1 << r.IntN(8)
		return raw, want, now, nonces, "bit"
	case 1: // bytes removed, doubled or put in
		at := r.IntN(len(raw))
		switch r.IntN(3) {
		case 0:
			raw = append(raw[:at:at], raw[min(len(raw), at+1+r.IntN(9)):]...)
		case 1:
			raw = append(raw[:at:at], append([]byte{raw[at]}, raw[at:]...)...)
		default:
			raw = append(raw[:at:at], append([]byte{byte(r.IntN(256))}, raw[at:]...)...)
		}
		return raw, want, now, nonces, "bytes"
	case 2: // forged with another key, sometimes under our key's name
		e := envelope()
		forged, err := Sign(e, testKey(byte(2+r.IntN(200))))
		if err != nil {
			t.Fatal(err)
		}
		return forged, want, now, nonces, "forged"
	case 3:
		nonces["n1"] = true
		return raw, want, now, nonces, "replayed"
	case 4:
		return raw, want, t0.Add(time.Minute + time.Duration(r.Int64N(int64(100*time.Hour)))), nonces, "expired"
	case 5: // a sound decision of another thing
		switch r.IntN(4) {
		case 0:
			want.ActionID = other()
		case 1:
			want.IncidentID = other()
		case 2:
			want.Audience = other()
		default:
			want.Purpose = other()
		}
		return raw, want, now, nonces, "other"
	case 6: // what is executed was altered after the decision
		want.Action.Params = map[string]string{"version": other(), "digest": "abc"}
		return raw, want, now, nonces, "swapped"
	default: // the fields of one decision with the signature of another
		e := envelope()
		e.Expires += int64(1 + r.IntN(1e6))
		second := signed(t, e)
		cut := bytes.Index(second, []byte(`,"key_id"`))
		from := bytes.Index(raw, []byte(`,"key_id"`))
		return append(second[:cut:cut], raw[from:]...), want, now, nonces, "spliced"
	}
}

func FuzzVerify(f *testing.F) {
	keys := keysOf(testKey(1))
	ok := signed(f, envelope())
	f.Add(ok)
	f.Add(bytes.Replace(ok, []byte(`"n1"`), []byte(`"n2"`), 1))
	f.Add([]byte(`{"envelope":{},"key_id":"","signature":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := Verify(raw, wanted(), keys, nil, t0); err == nil && !bytes.Equal(raw, ok) {
			t.Fatalf("accepted %q", raw)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	keys, raw := keysOf(testKey(1)), signed(b, envelope())
	for b.Loop() {
		if _, err := Verify(raw, wanted(), keys, nil, t0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p, err := Compile(DefaultRules())
	if err != nil {
		b.Fatal(err)
	}
	in := safeMode()
	for b.Loop() {
		p.Decide(in, t0)
	}
}
