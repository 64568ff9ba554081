package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"aura/mlops/explain"
	"aura/mlops/forest"
	"aura/mlops/onnx"
	"aura/mlops/schema"
)

// MaxReasons is how many reasons a decision gets: more than four are not likely to help an applicant.
const MaxReasons = 4

// metaKey is where Info stands in a model file, so that the file says what it is without the database.
const metaKey = "aura"

// Info describes a model. It travels in the model file; equal data, seed and parameters give equal files.
type Info struct {
	SchemaName    string  `json:"schema_name"`
	SchemaVersion string  `json:"schema_version"`
	SchemaDigest  string  `json:"schema_digest"` // of the whole schema it was trained under
	InputsDigest  string  `json:"inputs_digest"` // of what must not differ where it is used
	Metrics       Metrics `json:"metrics"`
	Window        Window  `json:"window"`
	Seed          uint64  `json:"seed"`
	DataDigest    string  `json:"data_digest,omitempty"` // of what it was trained on, see forest.Data.Digest; "" for files older than it
}

// Model is a forest, or a tree ensemble that was trained elsewhere, bound to a schema that it fits.
type Model struct {
	Info
	// Digest is the SHA-256 (hex) of the model file.
	Digest string

	forest   *forest.Forest // nil in one that was imported
	imported *imported      // nil in a forest
	explain  *explain.Explainer
	schema   *schema.Schema
}

// NewModel binds a trained forest to its schema. info's schema fields are filled in; the rest is the caller's. It is
// Refused if the forest's columns aren't the schema's inputs.
func NewModel(s *schema.Schema, f *forest.Forest, info Info) (*Model, error) {
	info.describe(s)
	if err := sameColumns(s, f); err != nil {
		return nil, err
	}
	meta, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("registry: describe model: %w", err)
	}
	probe, err := json.Marshal(newProbe(s, f.Raw))
	if err != nil {
		return nil, fmt.Errorf("registry: make probe: %w", err)
	}
	if f, err = f.With(map[string]string{metaKey: string(meta)}, forest.Section{Name: probeSection, Data: probe}); err != nil {
		return nil, fmt.Errorf("registry: describe model: %w", err)
	}
	return bind(s, f, info), nil
}

func (i *Info) describe(s *schema.Schema) {
	i.SchemaName, i.SchemaVersion = s.Name, s.Version
	i.SchemaDigest, i.InputsDigest = s.Digest(), s.InputsDigest()
}

// fits refuses a schema that the model wasn't made for.
func (i *Info) fits(s *schema.Schema) error {
	if i.InputsDigest != s.InputsDigest() {
		return &Refused{CodeSchema, fmt.Sprintf("the model was made for schema %s version %s, whose label or model inputs differ from %s version %s in use; train a model for it",
			i.SchemaName, i.SchemaVersion, s.Name, s.Version), nil}
	}
	return nil
}

// DecodeModel reads a model file and binds it to s. It is Refused if the file is no model or not one for s.
func DecodeModel(s *schema.Schema, data []byte) (*Model, error) {
	if bytes.HasPrefix(data, []byte(importedMagic)) {
		return decodeImported(s, data)
	}
	f, err := forest.Decode(data)
	if err != nil {
		return nil, &Refused{CodeBroken, "the model file is broken: " + err.Error(), err}
	}
	var info Info
	meta := f.Meta()[metaKey]
	if err := json.Unmarshal([]byte(meta), &info); err != nil {
		return nil, &Refused{CodeBroken, "the model file doesn't say which schema it is for; train it with aura train", err}
	}
	if err := info.fits(s); err != nil {
		return nil, err
	}
	if err := sameColumns(s, f); err != nil {
		return nil, err
	}
	return bind(s, f, info), nil
}

func bind(s *schema.Schema, f *forest.Forest, info Info) *Model {
	return &Model{Info: info, Digest: f.Digest(), forest: f, explain: explain.New(f), schema: s}
}

// sameColumns compares the forest's columns with the schema's inputs.
func sameColumns(s *schema.Schema, f *forest.Forest) error {
	inputs, columns := s.Inputs(), f.Columns()
	if len(inputs) != len(columns) {
		return &Refused{CodeSchema, fmt.Sprintf("the model has %d inputs, schema %s has %d", len(columns), s.Name, len(inputs)), nil}
	}
	for i, in := range inputs {
		if want := (forest.Column{Name: in.Name, Categorical: in.Categorical, Categories: in.Categories}); columns[i] != want {
			return &Refused{CodeSchema, fmt.Sprintf("the model's input %d is %s, schema %s has %s there", i, columns[i].Name, s.Name, in.Name), nil}
		}
	}
	return nil
}

// Columns describes a schema's model inputs to the forest.
func Columns(s *schema.Schema) []forest.Column {
	columns := make([]forest.Column, 0, len(s.Inputs()))
	for _, in := range s.Inputs() {
		columns = append(columns, forest.Column{Name: in.Name, Categorical: in.Categorical, Categories: in.Categories})
	}
	return columns
}

// Score returns the calibrated probability of default of a vector (schema.Vector's, of the model's width: another
// length panics). It doesn't allocate.
func (m *Model) Score(x schema.Vector) float64 {
	if m.forest == nil {
		return m.imported.ensemble.Score(x)
	}
	return m.forest.Score(x)
}

// Raw returns what the trees say, uncalibrated and before any link: the mean vote of a forest, log odds of boosted trees.
func (m *Model) Raw(x schema.Vector) float64 {
	if m.forest == nil {
		return m.imported.ensemble.Raw(x)
	}
	return m.forest.Raw(x)
}

// Reasons returns the at most four inputs that moved the score of x most towards default, strongest first, in the
// schema's words.
func (m *Model) Reasons(x schema.Vector) []schema.Reason {
	var room [MaxReasons]explain.Contribution
	top := m.explain.Top(x, MaxReasons, room[:0])
	reasons := make([]schema.Reason, len(top))
	for i, c := range top {
		reasons[i] = m.schema.Reason(c.Feature, c.Value)
	}
	return reasons
}

// Schema returns the schema that the model is bound to.
func (m *Model) Schema() *schema.Schema { return m.schema }

// Forest returns the model's trees, nil if it was imported.
func (m *Model) Forest() *forest.Forest { return m.forest }

// Trees is the number of trees.
func (m *Model) Trees() int {
	if m.forest == nil {
		return m.imported.ensemble.Trees()
	}
	return m.forest.Trees()
}

// Steps is how many nodes a score visits at most.
func (m *Model) Steps() int {
	if m.forest == nil {
		return m.imported.ensemble.Steps()
	}
	return m.forest.Trees() * m.forest.Params().Depth
}

// Encode returns the model file.
func (m *Model) Encode() ([]byte, error) {
	if m.forest == nil {
		return m.imported.file, nil
	}
	return m.forest.Encode()
}

// Served returns the model as ONNX with the inputs and outputs that all have, whatever it was imported from (see onnx.Standard).
func (m *Model) Served() ([]byte, error) {
	if m.forest == nil {
		return onnx.Standard(m.schema, m.imported.source, m.imported.Options)
	}
	return m.ONNX()
}

// ONNX returns a forest as an ONNX model, or the file that an imported model was read from (read only).
func (m *Model) ONNX() ([]byte, error) {
	if m.forest == nil {
		return m.imported.source, nil
	}
	return onnx.Export(m.schema, m.forest, map[string]string{
		"aura.digest": m.Digest, "aura.schema": m.SchemaName, "aura.schema_version": m.SchemaVersion, "aura.schema_digest": m.SchemaDigest,
	})
}

// Check scores the probe that was recorded when the model was made. A vote that differs in one bit, a probability
// outside 0..1 or a panic is Refused.
func (m *Model) Check() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Refused{CodeProbe, fmt.Sprintf("the model panicked while scoring its probe: %v", r), nil}
		}
	}()
	rows, err := m.probe()
	if err != nil {
		return err
	}
	for i, row := range rows {
		if len(row.X) != len(m.schema.Inputs()) {
			return &Refused{CodeProbe, fmt.Sprintf("probe row %d has %d inputs, want %d", i, len(row.X), len(m.schema.Inputs())), nil}
		}
		if got := m.Raw(row.X); math.Float64bits(got) != math.Float64bits(row.Raw) {
			return &Refused{CodeProbe, fmt.Sprintf("probe row %d scores %v, it was %v when the model was made", i, got, row.Raw), nil}
		}
		if pd := m.Score(row.X); !(pd >= 0 && pd <= 1) {
			return &Refused{CodeProbe, fmt.Sprintf("probe row %d has probability %v", i, pd), nil}
		}
		m.Reasons(row.X)
	}
	return nil
}

// probe returns the rows that were scored when the model was made.
func (m *Model) probe() (rows []probeRow, err error) {
	if m.forest == nil {
		rows = m.imported.Probe
	} else {
		raw, ok := m.forest.Section(probeSection)
		if !ok {
			return nil, &Refused{CodeProbe, "the model file has no probe to test it with; train it again", nil}
		}
		err = json.Unmarshal(raw, &rows)
	}
	if err != nil || len(rows) == 0 {
		return nil, &Refused{CodeProbe, "the model's probe is not readable; train it again", err}
	}
	return rows, nil
}
