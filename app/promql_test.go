package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What rules and dashboards ask of our metrics. Whether an expression is PromQL is for promtool to say (.ci/run prometheus); this
// reads no more of it than names, matchers and the labels that are grouped by.

// asked is an expression: what it selects, over which ranges, and the labels that it groups or joins by.
type asked struct {
	selectors []selector
	grouping  []string
	ranges    []string
}

// selector is a metric with its matchers.
type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, op, value string }

var promToken = regexp.MustCompile(`^(?:\s+|"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9.]+[a-z]*|=~|!~|!=|==|<=|>=|.)`)

var (
	promGrouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	promKeywords = []string{"and", "or", "unless", "bool", "offset", "inf", "nan"}
)

// ask reads an expression. Text that is none comes out as an error or as a metric that nobody has.
func ask(expr string) (out asked, err error) {
	var tokens []string
	for rest := expr; rest != ""; {
		t := promToken.FindString(rest)
		if t == "" {
			return out, fmt.Errorf("%q: no token", rest)
		}
		rest = rest[len(t):]
		if strings.TrimSpace(t) != "" {
			tokens = append(tokens, t)
		}
	}
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i]
		}
		return ""
	}
	// until returns the tokens up to an end, without commas, and the place behind it.
	until := func(i int, end string) ([]string, int, error) {
		n := slices.Index(tokens[i:], end)
		if n < 0 {
			return nil, 0, fmt.Errorf("%q: no %q", expr, end)
		}
		return slices.DeleteFunc(slices.Clone(tokens[i:i+n]), func(t string) bool { return t == "," }), i + n + 1, nil
	}
	for i := 0; i < len(tokens); {
		t := tokens[i]
		switch {
		case t == "[":
			var inside []string
			if inside, i, err = until(i+1, "]"); err != nil {
				return out, err
			}
			out.ranges = append(out.ranges, strings.Join(inside, ""))
		case t == "{":
			return out, fmt.Errorf("%q: a selector without a metric", expr)
		case !regexp.MustCompile(`^[a-zA-Z_:]`).MatchString(t):
			i++
		case slices.Contains(promGrouping, t):
			var labels []string
			if at(i+1) == "(" {
				if labels, i, err = until(i+2, ")"); err != nil {
					return out, err
				}
				out.grouping = append(out.grouping, labels...)
			} else {
				i++
			}
		case slices.Contains(promKeywords, strings.ToLower(t)), at(i+1) == "(", slices.Contains(promGrouping, at(i+1)):
			i++ // a keyword, a function or an aggregation
		default:
			s := selector{metric: t}
			i++
			if at(i) == "{" {
				var inside []string
				if inside, i, err = until(i+1, "}"); err != nil {
					return out, err
				}
				if len(inside)%3 != 0 {
					return out, fmt.Errorf("%q: matchers %q", expr, inside)
				}
				for m := range slices.Chunk(inside, 3) {
					s.matchers = append(s.matchers, matcher{m[0], m[1], strings.Trim(m[2], `"`)})
				}
			}
			out.selectors = append(out.selectors, s)
		}
	}
	return out, nil
}

func TestAsk(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`up`, `[{up []}] [] []`},
		{`sum by (job, le) (rate(a_bucket{le="0.3", mode=~"X|Y"}[5m])) / 2 > 14.4 * 0.001`, `[{a_bucket [{le = 0.3} {mode =~ X|Y}]}] [job le] [5m]`},
		{`histogram_quantile(0.99, sum by (le) (rate(b[$__rate_interval]))) > bool 1e3`, `[{b []}] [le] [$__rate_interval]`},
		{`increase(c[1h] offset 10m) == 0 and on (job) d != 1 or absent(up{job="a"})`, `[{c []} {d []} {up [{job = a}]}] [job] [1h]`},
		{`x * on (instance) group_left (version) job:y:ratio_rate5m`, `[{x []} {job:y:ratio_rate5m []}] [instance version] []`},
		{`max by (job) (a) < max by (job) (b{s!="x,}y"})`, `[{a []} {b [{s != x,}y}]}] [job job] []`},
	} {
		got, err := ask(c.expr)
		if s := fmt.Sprint(got.selectors, got.grouping, got.ranges); err != nil || s != c.want {
			t.Errorf("%s: %s %v, want %s", c.expr, s, err, c.want)
		}
	}
	for _, bad := range []string{`{job="x"}`, `a{job="x"`, `a[5m`, `sum by (job`, `a{job=}`} {
		if got, err := ask(bad); err == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}
