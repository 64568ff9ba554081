// Package schema knows what an application looks like and how it is judged: its features with their bounds, what of
// them a model may see, and the decision policy. Everything else in AURA learns about columns only from here.
//
// It owns the YAML form of a schema, the validation of outside input (JSON bytes, CSV cells) and the types that cross
// every border: Value, Record, Vector, Reason, Outcome. It imports nothing of ours.
//
// A row has three forms. A Record is the named features as they came. Values (Schema.Encode) are all columns in the
// schema's order as numbers: a category as its index in Categories, missing as NaN; rules and monitoring read them.
// The vector (Schema.Vector) is the model's input: without protected columns, transformed.
//
// A Schema is immutable after Parse and safe for any number of goroutines. Nothing blocks. Tests need no set-up: use
// Builtin or Parse.
package schema

import (
	_ "embed"
	"fmt"
	"os"
	"sync"
)

// Outcome is what a decision says.
type Outcome string

// The outcomes of a decision.
const (
	Approve Outcome = "APPROVE"
	Refer   Outcome = "REFER"
	Decline Outcome = "DECLINE"
)

// Valid reports whether o is an outcome.
func (o Outcome) Valid() bool { return o == Approve || o == Refer || o == Decline }

// Reason is one of the principal reasons of a decision, for the applicant. Contribution is how much the feature moved
// the model's score towards default (share of probability, before calibration); 0 where a rule decided.
type Reason struct {
	Code         string  `json:"code"`
	Feature      string  `json:"feature"`
	Text         string  `json:"text"`
	Contribution float64 `json:"contribution"`
}

// FeatureKind is numeric or categorical.
type FeatureKind string

// The kinds of features.
const (
	Numeric     FeatureKind = "numeric"
	Categorical FeatureKind = "categorical"
)

// Transform is applied to a number on its way into the model's vector.
type Transform string

// The transforms. SignedLog1p is sign(x)*log(1+|x|), for amounts that may be negative.
const (
	None        Transform = "none"
	Log1p       Transform = "log1p"
	Sqrt        Transform = "sqrt"
	SignedLog1p Transform = "signed_log1p"
)

// Feature is one column of an application.
type Feature struct {
	Name        string      `json:"name"`
	Kind        FeatureKind `json:"kind"`
	Min         *float64    `json:"min,omitempty"` // inclusive; nil = unbounded
	Max         *float64    `json:"max,omitempty"`
	Integer     bool        `json:"integer,omitempty"`
	Categories  []string    `json:"categories,omitempty"` // of a categorical feature; their order is their code
	Unit        string      `json:"unit,omitempty"`
	Transform   Transform   `json:"transform,omitempty"`
	Missing     bool        `json:"missing,omitempty"`   // null, an empty cell or no key is allowed
	Protected   bool        `json:"protected,omitempty"` // kept for monitoring, never a model's input
	Description string      `json:"description,omitempty"`
	ReasonCode  string      `json:"reason_code,omitempty"`
	ReasonText  string      `json:"reason_text,omitempty"`
}

// Label is the column that says what became of a loan. A cell equal to Bad means it defaulted; numbers are compared as
// numbers. If Good is set, any other cell than these two is an error.
type Label struct {
	Column string `json:"column"`
	Bad    string `json:"bad"`
	Good   string `json:"good,omitempty"`
}

// Policy turns a probability of default, or in safe mode the values themselves, into a decision.
type Policy struct {
	ApproveBelow float64  `json:"approve_below"`
	DeclineAbove float64  `json:"decline_above"`
	SafeMode     SafeMode `json:"safe_mode"`
}

// SafeMode is the ordered list of rules that decide without a model; the first that matches wins, else Default.
type SafeMode struct {
	Rules   []Rule `json:"rules"`
	Default Rule   `json:"default"`
}

// Rule decides if all its conditions hold; Default has none.
type Rule struct {
	Name     string      `json:"name"`
	When     []Condition `json:"when,omitempty"`
	Decision Outcome     `json:"decision"`
	Code     string      `json:"code,omitempty"`
	Text     string      `json:"text,omitempty"`
}

// Condition holds if every bound that is set does. A missing value satisfies none but Missing.
type Condition struct {
	Feature string    `json:"feature"`
	LT      *float64  `json:"lt,omitempty"`
	LTE     *float64  `json:"lte,omitempty"`
	GT      *float64  `json:"gt,omitempty"`
	GTE     *float64  `json:"gte,omitempty"`
	In      []float64 `json:"in,omitempty"` // eq and in; categories as their index
	Missing *bool     `json:"missing,omitempty"`

	column int
}

// Schema describes one kind of application. Make one with Parse, Load or Builtin; its fields are read only.
type Schema struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Description string    `json:"description,omitempty"`
	ID          string    `json:"id,omitempty"` // the id's column in a file; "" if there is none
	Label       Label     `json:"label"`
	Features    []Feature `json:"features"`
	Policy      Policy    `json:"policy"`

	names        []string
	index        map[string]int
	codes        []map[string]int // per feature: category -> index; nil for numeric
	inputs       []Input
	safeReasons  [][]Reason // per rule, the default's last
	digest       string
	inputsDigest string
}

//go:embed credit.yaml
var creditYAML []byte

var builtin = sync.OnceValue(func() *Schema {
	s, err := Parse(creditYAML)
	if err != nil {
		panic("schema: the built-in credit.yaml is broken: " + err.Error()) // a test parses it: can't happen in a build that passed
	}
	return s
})

// Builtin returns the credit-risk schema that AURA uses when none is given.
func Builtin() *Schema { return builtin() }

// BuiltinYAML returns a copy of the text that Builtin parses, as a start for one's own.
func BuiltinYAML() []byte { return append([]byte(nil), creditYAML...) }

// Load reads and parses a schema file.
func Load(path string) (*Schema, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	s, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Digest is the SHA-256 (hex) of everything the schema says, whatever the YAML's order, spacing and comments.
func (s *Schema) Digest() string { return s.digest }

// InputsDigest is the SHA-256 (hex) of what a model depends on: the label, and each model input's name, kind, categories
// and transform. A model fits a schema if these are equal; bounds, texts and policy may change without a new model.
func (s *Schema) InputsDigest() string { return s.inputsDigest }

// Names returns the features' names in order; read only.
func (s *Schema) Names() []string { return s.names }

// Index returns the position of a feature, or -1.
func (s *Schema) Index(name string) int {
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}
