package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// printJSON writes one document. What came from the server is passed on whole (json.RawMessage), so that nothing is lost
// that this version doesn't know.
func (i *invocation) printJSON(v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, encoded, "", "  "); err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	b.WriteByte('\n')
	_, err = i.Out.Write(b.Bytes())
	return err
}

// printReport writes what a run has measured, also that of a run which ended badly: that is what its exit code tells.
func (i *invocation) printReport(report interface{ WriteTable(io.Writer) error }, ended error) error {
	printed := error(nil)
	if i.output == "json" {
		printed = i.printJSON(report)
	} else {
		printed = report.WriteTable(i.Out)
	}
	return cmp.Or(ended, printed)
}

func (i *invocation) printLine(text string) error {
	_, err := fmt.Fprintln(i.Out, text)
	return err
}

// table is rows of cells under a header.
type table struct{ rows [][]string }

func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// printTable aligns columns by runes. Cells may hold anything that came from outside: control characters are replaced,
// so that they can't write to the terminal.
func (i *invocation) printTable(t *table) error {
	var width []int
	for _, row := range t.rows {
		for n, cell := range row {
			row[n] = printable(cell)
			if n == len(width) {
				width = append(width, 0)
			}
			width[n] = max(width[n], utf8.RuneCountInString(row[n]))
		}
	}
	colour := i.colour()
	var b strings.Builder
	for number, row := range t.rows {
		for n, cell := range row {
			text := cell
			if colour {
				text = paint(cell, number == 0)
			}
			b.WriteString(text)
			if n < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[n]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(i.Out, b.String())
	return err
}

// printPairs writes names and values, one pair a line.
func (i *invocation) printPairs(pairs [][2]string) error {
	width := 0
	for _, p := range pairs {
		width = max(width, utf8.RuneCountInString(p[0]))
	}
	var b strings.Builder
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, p[0], printable(p[1]))
		}
	}
	_, err := io.WriteString(i.Out, b.String())
	return err
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '�'
		}
		return r
	}, text)
}

var colours = map[string]string{
	"RUNNING": "32", "APPROVE": "32", "MODEL": "32",
	"SLOW": "33", "STARTING": "33", "REFER": "33", "SAFE_MODE": "33",
	"RESOLVED": "32", "HEALTHY": "32", "APPROVED": "32", "ACTIVE": "32", "done": "32",
	"MITIGATING": "33", "SUSPECT": "33", "ESCALATED": "33", "PENDING": "33", "PAUSED": "33", "now": "33",
	"OPEN": "31", "FAILED": "31", "CONFIRMED": "31", "DENIED": "31", "failed": "31",
	"HUNG": "31", "CRASHED": "31", "QUARANTINED": "31", "DECLINE": "31",
}

func paint(cell string, header bool) string {
	code := colours[cell]
	if header {
		code = "1"
	}
	if code == "" {
		return cell
	}
	return "\x1b[" + code + "m" + cell + "\x1b[0m"
}

// colour says whether stdout takes colours: a terminal, and nobody asked for none (no-color.org).
func (i *invocation) colour() bool {
	return i.env("NO_COLOR") == "" && i.env("TERM") != "dumb" && i.terminal(i.Out)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
