package chart

// Kind is how a thing is doing; each has a colour (its class) and a shape, so that neither is needed alone.
type Kind string

// Kinds.
const (
	Good  Kind = "good"
	Busy  Kind = "busy" // starting
	Warn  Kind = "warn"
	Bad   Kind = "bad"
	Quiet Kind = "quiet" // off, on purpose
)

// shapes on a 12 x 12 field.
var shapes = map[Kind]string{
	Good:  "M6 1a5 5 0 1 1 0 10A5 5 0 1 1 6 1z",
	Busy:  "M6 1a5 5 0 1 1 0 10A5 5 0 1 1 6 1zm0 2a3 3 0 1 0 0 6A3 3 0 1 0 6 3z",
	Warn:  "M6 .8 11.6 11H.4z",
	Bad:   "M3 1 6 4l3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z",
	Quiet: "M1 5h10v2H1z",
}

// Glyph is a kind's shape as a figure of its own. Text beside it says the same, so it is hidden from screen readers.
func Glyph(k Kind) string {
	return `<svg class="glyph is-` + string(k) + `" viewBox="0 0 12 12" aria-hidden="true"><path fill-rule="evenodd" d="` + shapes[k] + `"/></svg>`
}

// glyph draws a kind's shape at a place inside a figure.
func (s *svg) glyph(k Kind, x, y float64) {
	s.WriteString(`<g transform="translate(` + number(x) + " " + number(y) + `)"><path class="shape is-` + string(k) +
		`" fill-rule="evenodd" d="` + shapes[k] + `"/></g>`)
}
