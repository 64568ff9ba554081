package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"aura/mlops/explain"
	"aura/mlops/forest"
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

// Model is a forest bound to a schema that it fits.
type Model struct {
	Info
	// Digest is the SHA-256 (hex) of the model file.
	Digest string

	forest  *forest.Forest
	explain *explain.Explainer
	schema  *schema.Schema
}

// NewModel binds a trained forest to its schema. info's schema fields are filled in; the rest is the caller's. It is
// Refused if the forest's columns aren't the schema's inputs.
func NewModel(s *schema.Schema, f *forest.Forest, info Info) (*Model, error) {
	info.SchemaName, info.SchemaVersion = s.Name, s.Version
	info.SchemaDigest, info.InputsDigest = s.Digest(), s.InputsDigest()
	if err := sameColumns(s, f); err != nil {
		return nil, err
	}
	meta, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("registry: describe model: %w", err)
	}
	probe, err := newProbe(s, f)
	if err != nil {
		return nil, err
	}
	if f, err = f.With(map[string]string{metaKey: string(meta)}, forest.Section{Name: probeSection, Data: probe}); err != nil {
		return nil, fmt.Errorf("registry: describe model: %w", err)
	}
	return bind(s, f, info), nil
}

// DecodeModel reads a model file and binds it to s. It is Refused if the file is no model or not one for s.
func DecodeModel(s *schema.Schema, data []byte) (*Model, error) {
	f, err := forest.Decode(data)
	if err != nil {
		return nil, &Refused{CodeBroken, "the model file is broken: " + err.Error(), err}
	}
	var info Info
	meta := f.Meta()[metaKey]
	if err := json.Unmarshal([]byte(meta), &info); err != nil {
		return nil, &Refused{CodeBroken, "the model file doesn't say which schema it is for; train it with aura train", err}
	}
	if info.InputsDigest != s.InputsDigest() {
		return nil, &Refused{CodeSchema, fmt.Sprintf("the model was trained for schema %s version %s, whose label or model inputs differ from %s version %s in use; train a model for it",
			info.SchemaName, info.SchemaVersion, s.Name, s.Version), nil}
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
func (m *Model) Score(x schema.Vector) float64 { return m.forest.Score(x) }

// Raw returns the mean vote of the trees, uncalibrated.
func (m *Model) Raw(x schema.Vector) float64 { return m.forest.Raw(x) }

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

// Forest returns the model's trees.
func (m *Model) Forest() *forest.Forest { return m.forest }

// Encode returns the model file.
func (m *Model) Encode() ([]byte, error) { return m.forest.Encode() }

// Check scores the probe that was recorded when the model was made. A vote that differs in one bit, a probability
// outside 0..1 or a panic is Refused.
func (m *Model) Check() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Refused{CodeProbe, fmt.Sprintf("the model panicked while scoring its probe: %v", r), nil}
		}
	}()
	raw, ok := m.forest.Section(probeSection)
	if !ok {
		return &Refused{CodeProbe, "the model file has no probe to test it with; train it again", nil}
	}
	var rows []probeRow
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) == 0 {
		return &Refused{CodeProbe, "the model's probe is not readable; train it again", errors.Join(err)}
	}
	for i, row := range rows {
		if len(row.X) != m.forest.Width() {
			return &Refused{CodeProbe, fmt.Sprintf("probe row %d has %d inputs, want %d", i, len(row.X), m.forest.Width()), nil}
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
