package onnx

// The parts of ONNX's messages (onnx.proto of the ONNX project, IR versions 3 to 11) that this package writes and reads, with
// the numbers of their fields. What else a file may hold is passed over where it can't change a score, and refused where it can.
type model struct {
	irVersion int64      // 1
	producer  string     // 2
	graph     *graph     // 7
	opsets    []opset    // 8
	props     []property // 14
}

type opset struct {
	domain  string // 1
	version int64  // 2
}

type property struct{ key, value string } // 1, 2

type graph struct {
	nodes        []node      // 1
	name         string      // 2
	initializers []tensor    // 5
	inputs       []valueInfo // 11
	outputs      []valueInfo // 12
}

type node struct {
	inputs     []string    // 1
	outputs    []string    // 2
	name       string      // 3
	op         string      // 4
	attributes []attribute // 5
	domain     string      // 7
}

// The types of attributes that are read.
const (
	kindFloat   = 1
	kindInt     = 2
	kindString  = 3
	kindTensor  = 4
	kindFloats  = 6
	kindInts    = 7
	kindStrings = 8
)

type attribute struct {
	name    string    // 1
	f       float32   // 2
	i       int64     // 3
	s       string    // 4
	t       *tensor   // 5
	floats  []float32 // 7
	ints    []int64   // 8
	strings []string  // 9
	kind    int64     // 20
}

// The types of elements that are read.
const (
	elementFloat  = 1
	elementInt64  = 7
	elementDouble = 11
)

// tensor is a constant of float32 or float64 numbers, kept as float64.
type tensor struct {
	dims    []int64   // 1
	element int64     // 2
	name    string    // 8
	values  []float64 // float_data 4, raw_data 9, double_data 10
}

type valueInfo struct {
	name    string // 1
	element int64  // of the tensor in type 2; 0 for what is no tensor
	dims    []dim
}

// dim is a size, or a name for one that is open.
type dim struct {
	value int64
	param string
}
