package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/onnx"
	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
	"aura/mlops/schema"
)

// imported is a model that came as ONNX, and the forest that it was exported from.
func imported(t testing.TB) (m, from *registry.Model) {
	t.Helper()
	from = registrytest.Model(t, schema.Builtin(), 3)
	file, err := from.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	m, err = registry.ImportModel(schema.Builtin(), file, onnx.Options{}, registry.Info{Metrics: registry.Metrics{HoldoutAUC: 0.9}})
	if err != nil {
		t.Fatal(err)
	}
	return m, from
}

// An imported model lives in the registry like any other: registered, loaded, promoted, explained, exported as it came.
func TestAnImportedModelIsAModel(t *testing.T) {
	b := setup(t, 1)
	m, from := imported(t)
	v, err := b.registry.Register(t.Context(), m, registry.Note{By: "ann", Text: "from scikit-learn"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.Promote(t.Context(), v.Number, "ann", "it is better"); err != nil {
		t.Fatal(err)
	}
	again, err := b.registry.Load(t.Context(), v.Number)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest != m.Digest || again.Metrics.HoldoutAUC != 0.9 || again.SchemaName != "credit" || again.Forest() != nil || again.Trees() != from.Trees() || again.Steps() < again.Trees() {
		t.Errorf("it became %+v", again.Info)
	}
	x := schema.Builtin().Vector(schema.Vector{420, 85, 15_000, 60_000, 0.5})
	if again.Score(x) != from.Score(x) || again.Raw(x) != from.Raw(x) {
		t.Errorf("score %v, the forest's %v", again.Score(x), from.Score(x))
	}
	if reasons := again.Reasons(x); len(reasons) == 0 || reasons[0].Contribution <= 0 || reasons[0].Text == "" {
		t.Errorf("reasons of a very low score: %+v", reasons)
	}
	file, err := again.ONNX()
	if want, _ := from.ONNX(); err != nil || !bytes.Equal(file, want) {
		t.Errorf("its ONNX is not what it was made from: %v", err)
	}
	if n := testing.AllocsPerRun(100, func() { again.Score(x) }); n > 0 {
		t.Errorf("Score allocates %v times", n)
	}
}

// The strongest reason is nearly always the forest's own, though a file doesn't tell how many rows went where.
func TestImportedReasonsAgree(t *testing.T) {
	m, from := imported(t)
	same, declined := 0, 0
	for _, r := range dataset.Synthetic(500, 9) {
		x := schema.Builtin().Vector(r.Values)
		if from.Score(x) < 0.6 {
			continue
		}
		declined++
		if m.Reasons(x)[0].Feature == from.Reasons(x)[0].Feature {
			same++
		}
	}
	if declined < 100 || same < declined*8/10 {
		t.Errorf("%d of %d declined agree", same, declined)
	}
	t.Logf("%d of %d declined agree", same, declined)
}

// seal puts the right checksum on a changed file.
func seal(b []byte) []byte {
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

func TestBrokenImportsAreRefused(t *testing.T) {
	m, _ := imported(t)
	good, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		code   string
	}{
		"short":         {func(b []byte) []byte { return b[:40] }, registry.CodeBroken},
		"checksum":      {func(b []byte) []byte { b[100] ^= 1; return b }, registry.CodeBroken},
		"version":       {func(b []byte) []byte { b[8] = 9; return seal(b) }, registry.CodeBroken},
		"huge header":   {func(b []byte) []byte { binary.LittleEndian.PutUint32(b[12:], math.MaxUint32); return seal(b) }, registry.CodeBroken},
		"header":        {func(b []byte) []byte { b[16] = 'x'; return seal(b) }, registry.CodeBroken},
		"schema":        {replace(`"inputs_digest":"`, `"inputs_digest":"0`), registry.CodeSchema},
		"no ONNX":       {func(b []byte) []byte { return seal(b[:len(b)-len(b)/2]) }, registry.CodeNotImported},
		"other options": {replace(`"options":{}`, `"options":{"bad":"x"}`), registry.CodeNotImported},
	} {
		_, err := registry.DecodeModel(schema.Builtin(), c.change(bytes.Clone(good)))
		if refused(t, err, c.code); t.Failed() {
			t.Fatal(name)
		}
	}
	lied, err := registry.DecodeModel(schema.Builtin(), replace(`"raw":0.`, `"raw":0.9`)(bytes.Clone(good)))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, lied.Check(), registry.CodeProbe)
	empty, err := registry.DecodeModel(schema.Builtin(), replace(`"probe":[`, `"probe":[],"was":[`)(bytes.Clone(good)))
	if err == nil {
		t.Errorf("an unknown field was taken: %+v", empty.Info)
	}
	_, err = registry.ImportModel(schema.Builtin(), []byte("no model"), onnx.Options{}, registry.Info{})
	refused(t, err, registry.CodeNotImported)
}

// replace changes the header of an imported model's file and its size.
func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		size := binary.LittleEndian.Uint32(b[12:])
		head := strings.Replace(string(b[16:16+size]), old, new, 1)
		out := append(bytes.Clone(b[:12]), make([]byte, 4)...)
		binary.LittleEndian.PutUint32(out[12:], uint32(len(head)))
		return seal(append(append(out, head...), b[16+size:]...))
	}
}

func TestADamagedImportIsNotPromoted(t *testing.T) {
	b := setup(t, 1)
	m, _ := imported(t)
	v, err := b.registry.Register(t.Context(), m, registry.Note{By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(b.path(t, v.Number))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(b.path(t, v.Number), data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = b.registry.Promote(t.Context(), v.Number, "ann", "it is better")
	refused(t, err, registry.CodeBroken)
}

func FuzzDecodeModel(f *testing.F) {
	m, from := imported(f)
	for _, m := range []*registry.Model{m, from} {
		data, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	x := schema.Builtin().Vector(schema.Vector{420, 85, 15_000, 60_000, 0.5})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > sha256.Size { // else the checksum would stop nearly every change
			data = seal(bytes.Clone(data))
		}
		m, err := registry.DecodeModel(schema.Builtin(), data)
		if err != nil {
			if !errors.As(err, new(*registry.Refused)) {
				t.Fatalf("error %T %v, want a *Refused", err, err)
			}
			return
		}
		if p := m.Score(x); !(p >= 0 && p <= 1) {
			t.Fatalf("score %v", p)
		}
		_ = m.Check() // whatever it finds: no panic
	})
}
