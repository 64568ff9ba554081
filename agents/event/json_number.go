package event

import "strconv"

// number passes over a number in JSON's grammar, which is narrower than strconv's. Where it is a decimal of at most 15 digits,
// all within digits, scale says how many of them stand behind the point; else scale is negative.
func (r *reader) number() (raw string, digits uint64, scale int) {
	begin := r.pos
	r.has("-")
	from := r.pos
	if !r.has("0") {
		digits = r.digits(0)
	}
	if r.has(".") {
		point := r.pos
		digits = r.digits(digits)
		scale = r.pos - point
	}
	if r.pos-from > 16 { // with a point
		scale = -1
	}
	if r.has("e") || r.has("E") {
		scale = -1
		if !r.has("+") {
			r.has("-")
		}
		r.digits(0)
	}
	return r.data[begin:r.pos], digits, scale
}

// digits passes over one or more digits, and appends them to a number.
func (r *reader) digits(n uint64) uint64 {
	begin := r.pos
	for r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
		n = 10*n + uint64(r.data[r.pos]-'0')
		r.pos++
	}
	r.failed = r.failed || r.pos == begin
	return n
}

func (r *reader) integer() int64 {
	raw, _, _ := r.number()
	n, err := strconv.ParseInt(raw, 10, 64)
	r.failed = r.failed || err != nil
	return n
}

// version is an integer whose type is int.
func (r *reader) version() int {
	n := r.integer()
	r.failed = r.failed || int64(int(n)) != n
	return int(n)
}

// longNumber is more bytes than any float64 is written with; what is longer, schema may refuse.
const longNumber = 32

// tens are exact, and so is a whole number of 15 digits: one division rounds once, as it must.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func (r *reader) float() float64 {
	raw, digits, scale := r.number()
	if scale >= 0 && !r.failed {
		f := float64(digits) / tens[scale]
		if raw[0] == '-' {
			return -f
		}
		return f
	}
	f, err := strconv.ParseFloat(raw, 64)
	r.failed = r.failed || err != nil || len(raw) > longNumber
	return f
}
