package page

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"aura/web/api"
	"aura/web/chart"
)

// none stands where there is no value.
const none = "–"

func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.path, "count": count, "millis": millis, "rate": rate, "clock": clock, "iso": iso, "day": day,
		"percent": percent, "score": score, "short": short, "lower": strings.ToLower, "kind": kindOf, "wbr": breakable,
		"glyph": func(k chart.Kind) template.HTML { return svg(chart.Glyph(k)) },
		"mark":  mark, "tail": tail, "count64": func(n int) string { return count(int64(n)) },
		"more":     func(r []api.Reason) int { return len(r) - 1 },
		"share":    func(v float64) string { return percent(&v) },
		"stepkind": kindOfStep, "statuskind": kindOfStatus, "since": since, "spell": span, "judged": judged, "took": took, "figure": figure, "reading": reading, "purpose": purpose, "waits": waits, "worth": worth,
		"acts": acts, "said": said, "called": called, "idle": idle,
		"evidence": func(d *api.IncidentDetail) string { return evidenceText(*d) }, "newest": newest, "histogram": histogram, "psibar": psiBar,
		"part": part, "secs": seconds, "intarget": inTarget, "params": params, "changes": changes, "verdict": verdictWords,
		"percentof":  func(v float64) string { return percent(&v) },
		"sincestart": func(d *api.IncidentDetail, t time.Time) string { return sinceStart(*d, t) },
		"latency": func(ms *float64) string {
			if ms == nil {
				return none
			}
			return millis(*ms)
		},
	}
}

// count groups thousands with thin spaces: 12 345.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return sign + s
}

// rate writes a figure a second with about three digits.
func rate(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case math.Abs(v) >= 100:
		return count(int64(math.Round(v)))
	case v == 0:
		return "0"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// millis writes a time in ms with its unit: µs below one, s above 1000.
func millis(ms float64) string {
	switch {
	case math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0:
		return none
	case ms == 0:
		return none
	case ms < 1:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

// age writes a duration in its largest unit or two.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func clock(t any) string { return in(t, "15:04:05") }
func day(t any) string   { return in(t, "2006-01-02 15:04") }
func iso(t any) string   { return in(t, time.RFC3339) }

func in(t any, layout string) string {
	switch t := t.(type) {
	case time.Time:
		if !t.IsZero() {
			return t.UTC().Format(layout)
		}
	case *time.Time:
		if t != nil && !t.IsZero() {
			return t.UTC().Format(layout)
		}
	}
	return none
}

// percent writes a probability.
func percent(p *float64) string {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return none
	}
	return fmt.Sprintf("%.1f %%", *p*100)
}

// score writes a metric of a model.
func score(v *float64) string {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return none
	}
	return fmt.Sprintf("%.3f", *v)
}

// short cuts a text for a narrow place.
func short(n int, s string) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// tail keeps the end of a text: time-ordered ids differ there.
func tail(n int, s string) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-n+1:])
}

// mark is the shape of a decision.
func mark(decision string) chart.Kind {
	switch decision {
	case api.Approve:
		return chart.Good
	case api.Refer:
		return chart.Warn
	case api.Decline:
		return chart.Bad
	}
	return chart.Quiet
}

// breakable lets a long name be broken after an underscore.
func breakable(name string) template.HTML {
	return svg(strings.ReplaceAll(template.HTMLEscapeString(name), "_", "_<wbr>"))
}
