package forest

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Limits of a model. They bound what a file can make Decode allocate.
const (
	MaxColumns    = 4096
	MaxCategories = 1 << 16
	MaxTrees      = 1024 // up to 128 the sum is exact in float32 too, and so in an ONNX export
	MaxDepth      = 15   // 2^16-1 nodes a tree: a child is at most 16 bits away
)

// unit is the denominator of leaf values: they are integers in units of 1/unit.
const unit = 1 << 17

// narrowColumns is the widest model whose nodes fit 4 bytes: two key slots a column, 256 slots.
const narrowColumns = 128

// Column describes one input of the model. A categorical column holds category indices 0 ... Categories-1;
// any other value in it is missing.
type Column struct {
	Name        string `json:"name"`
	Categorical bool   `json:"categorical,omitempty"`
	Categories  int    `json:"categories,omitempty"`
}

// Params of a training run. The zero value of a field means its default.
type Params struct {
	Trees   int    `json:"trees"`    // default 100
	Depth   int    `json:"depth"`    // levels of splits, default 10
	MinLeaf int    `json:"min_leaf"` // least bootstrap rows in a leaf, default 5
	Mtry    int    `json:"mtry"`     // columns tried at a node, default floor(sqrt(columns))
	Bins    int    `json:"bins"`     // bins a column, the one for missing included, default and most 256
	Seed    uint64 `json:"seed"`
	Workers int    `json:"-"` // goroutines, default GOMAXPROCS; never changes the result
}

// Calibration maps the mean vote p to a probability: 1/(1+exp(-(A*logit(clip(p))+B))), Platt's sigmoid on the log odds.
type Calibration struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

// Section is a named part of the model file that this package keeps but does not read, such as the reference
// that monitoring compares with.
type Section struct {
	Name string
	Data []byte
}

// Forest is a trained model. It is immutable.
type Forest struct {
	columns     []Column
	params      Params
	calibration Calibration
	training    Training
	meta        map[string]string
	sections    []Section // sorted by name

	bins   binner
	roots  []uint32 // index of each tree's first node
	depth  int      // steps that bring every tree to a leaf
	nodes  []uint32 // key slot:8 | delta to left child:16 | 255-bin:8; used while columns <= narrowColumns
	wide   []uint64 // delta:32 | slot:16 | bin:8, else
	values []uint32 // mean outcome of a node in units of 1/unit
	scale  float64  // trees * unit
	digest string
}

// Training says what a model was trained on.
type Training struct {
	Rows int `json:"rows"`
	Bad  int `json:"bad"`
	// OutOfBagAUC is the ranking quality of the out-of-bag votes, an honest estimate that needs no second sample. 0 when unknown.
	OutOfBagAUC float64 `json:"oob_auc"`
	// OutOfBagBrier is the Brier score of the calibrated out-of-bag votes (the two calibration numbers are fitted on them).
	OutOfBagBrier float64 `json:"oob_brier"`
}

// Columns returns the model's inputs, in the order in which Score wants them.
func (f *Forest) Columns() []Column { return slices.Clone(f.columns) }

// Width is the number of inputs.
func (f *Forest) Width() int { return len(f.columns) }

// Params returns the parameters the model was trained with, defaults filled in.
func (f *Forest) Params() Params { return f.params }

// Calibration returns the fitted sigmoid.
func (f *Forest) Calibration() Calibration { return f.calibration }

// Training returns what the model was trained on.
func (f *Forest) Training() Training { return f.training }

// Trees is the number of trees, Nodes that of all their nodes.
func (f *Forest) Trees() int { return len(f.roots) }

// Nodes is the number of nodes of all trees, leaves included.
func (f *Forest) Nodes() int { return len(f.values) }

// Scale is the unit of Attribute: a sum of Scale means probability 1.
func (f *Forest) Scale() float64 { return f.scale }

// Meta returns a copy of the free text kept with the model.
func (f *Forest) Meta() map[string]string { return maps.Clone(f.meta) }

// Section returns the data of a named section, which must not be changed, and whether it is there.
func (f *Forest) Section(name string) ([]byte, bool) {
	for _, s := range f.sections {
		if s.Name == name {
			return s.Data, true
		}
	}
	return nil, false
}

// Digest is the SHA-256 (hex) of the encoded model: sections and metadata included. Equal digests mean equal scores.
func (f *Forest) Digest() string { return f.digest }

// With returns the model with metadata and sections added or, by equal name, replaced. The digest changes with them.
func (f *Forest) With(meta map[string]string, sections ...Section) (*Forest, error) {
	g := *f
	g.meta = maps.Clone(f.meta)
	if g.meta == nil && len(meta) > 0 {
		g.meta = make(map[string]string, len(meta))
	}
	maps.Copy(g.meta, meta)
	g.sections = slices.Clone(f.sections)
	for _, s := range sections {
		if err := checkExtra(s); err != nil {
			return nil, fmt.Errorf("add section to model: %w", err)
		}
		s.Data = slices.Clone(s.Data)
		g.sections = slices.DeleteFunc(g.sections, func(have Section) bool { return have.Name == s.Name })
		g.sections = append(g.sections, s)
	}
	slices.SortFunc(g.sections, func(a, b Section) int { return compareNames(a.Name, b.Name) })
	if len(g.sections) > maxSections {
		return nil, fmt.Errorf("add section to model: more than %d sections", maxSections)
	}
	if err := g.seal(); err != nil {
		return nil, fmt.Errorf("add to model: %w", err)
	}
	return &g, nil
}

func (p Params) withDefaults(columns int) Params {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&p.Trees, 100)
	set(&p.Depth, 10)
	set(&p.MinLeaf, 5)
	set(&p.Bins, 256)
	set(&p.Mtry, max(1, int(math.Sqrt(float64(columns)))))
	return p
}

func (p Params) check(columns int) error {
	between := func(name string, v, low, high int) error {
		if v < low || v > high {
			return &DataError{Problem: fmt.Sprintf("%s is %d, must be %d to %d", name, v, low, high)}
		}
		return nil
	}
	for _, err := range []error{
		between("trees", p.Trees, 1, MaxTrees),
		between("depth", p.Depth, 1, MaxDepth),
		between("min_leaf", p.MinLeaf, 1, math.MaxInt32),
		between("bins", p.Bins, 3, 256),
		between("mtry", p.Mtry, 1, columns),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
