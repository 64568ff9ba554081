package page

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"aura/web/api"
)

var now = time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)

// hostile is a text that is an attack wherever it isn't escaped.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>' onclick='x` + "\u202e</title>]]>"

func ptr[T any](v T) *T { return &v }

// full is a model in which every text is s and every figure n.
func full(s string, n float64) Model {
	at := now
	o := api.Overview{
		At: now, Version: s, Instance: s, Bus: s, Schema: s, Started: now.Add(-time.Hour), Previous: 2, NoRollback: s,
		Mode:     api.Mode{Mode: api.ModeSafe, By: s, Reason: s, Since: now},
		Champion: &api.Model{Version: 3, Digest: s, Note: s, Rows: int(1e9), Metrics: api.Metrics{CVAUC: &n, Brier: &n}},
		Faults:   []api.Fault{{ID: s, Target: s, Kind: s, Delay: s, Share: n, Hits: math.MaxInt64, ExpiresAt: now.Add(-time.Hour)}},
		Ready:    []api.Check{{Name: s, Reason: s}},
		Accepted: math.MaxInt64, Decided: math.MinInt64, Undecided: -5, Window: -1, LatencyKnown: true, P50MS: n, P99MS: n,
		Outcomes: map[string]int64{api.Approve: math.MaxInt64 / 4, s: -1},
	}
	for _, state := range []string{"RUNNING", "STARTING", "SLOW", "HUNG", "CRASHED", "QUARANTINED", "STOPPED", s} {
		o.Agents = append(o.Agents, api.Agent{
			Name: s, State: state, Cause: s, NotReady: s, Rate: n, P50MS: n, P99MS: n, QueueAgeMS: n, Queue: math.MaxInt, Zombies: 3, Since: now,
		})
	}
	for _, name := range []string{"ingestion", "feature", "model", "decision"} {
		o.Agents = append(o.Agents, api.Agent{Name: name, State: s, Rate: n, P50MS: n, P99MS: n})
	}
	o.Decisions = []api.Record{{
		ApplicationID: s, Decision: s, Rule: s, Outcome: s, Probability: &n, LatencyMS: &n, DecidedAt: &at,
		Reasons: []api.Reason{{Code: s, Text: s}, {Text: s}},
	}, {}}
	o.FaultKinds = []string{"latency", "crash", "hang", "drift", "label-flip", "bad-model"}
	fillLoop(&o, s, n)
	return Model{Overview: o, FaultsEnabled: true, Notice: Notice{Text: s, Bad: true}, Points: []Point{
		{At: now, Rate: n, Known: true, P99MS: n}, {At: now, Rate: n, Known: true, P99MS: n}, {},
	}}
}

func render(t *testing.T, m Model) string {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := p.Render(&buf, m); err != nil {
		t.Fatal(err)
	}
	regions, err := p.Regions(m)
	if err != nil {
		t.Fatal(err)
	}
	for id, html := range regions {
		if m.FaultsEnabled && !strings.Contains(buf.String(), `id="`+id+`"`) {
			t.Errorf("the page has no region %s", id)
		}
		if !strings.Contains(buf.String(), html) && id != "faults" {
			t.Errorf("region %s differs from the page", id)
		}
	}
	return buf.String()
}

var forbidden = regexp.MustCompile(`(?i)<script>alert|onerror=alert[^&]*>|<img src=x| style=| on[a-z]+=['"]|javascript:|NaN|Inf\b|%!`)

func TestHostileTextsStayTexts(t *testing.T) {
	html := render(t, full(hostile, .25))
	if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img src=x") {
		t.Error("a text became markup")
	}
	if got := strings.Count(html, "<script"); got != 1 {
		t.Errorf("%d scripts", got)
	}
	if !strings.Contains(html, "&lt;script&gt;") {
		t.Error("the texts are not shown at all")
	}
}

func TestExtremeFigures(t *testing.T) {
	for name, n := range map[string]float64{
		"zero": 0, "nan": math.NaN(), "infinite": math.Inf(1), "minus": -1e300, "huge": 1e300, "tiny": 1e-300,
	} {
		html := render(t, full("x", n))
		if bad := forbidden.FindString(html); bad != "" {
			t.Errorf("%s: the page has %q", name, bad)
		}
	}
}

func TestEmptyModel(t *testing.T) {
	for _, m := range []Model{{}, {FaultsEnabled: true}, {Overview: api.Overview{At: now, Mode: api.Mode{Mode: api.ModeModel}}}} {
		html := render(t, m)
		if bad := forbidden.FindString(html); bad != "" {
			t.Errorf("the page has %q", bad)
		}
		if strings.Contains(html, "All is well") || !strings.Contains(html, "No agent runs") {
			t.Error("without agents all is well")
		}
	}
}

func TestThePageSaysWhatIsWrong(t *testing.T) {
	m := Model{Overview: api.Overview{
		At: now, Mode: api.Mode{Mode: api.ModeModel}, Champion: &api.Model{Version: 3},
		Agents: []api.Agent{{Name: "model", State: "RUNNING"}},
	}}
	if html := render(t, m); !strings.Contains(html, "All is well") {
		t.Error("a healthy pipeline isn't said to be well")
	}
	for want, change := range map[string]func(*api.Overview){
		"model is hung":                func(o *api.Overview) { o.Agents = []api.Agent{{Name: "model", State: "HUNG"}} },
		"Safe mode.":                   func(o *api.Overview) { o.Mode.Mode = api.ModeSafe },
		"Not ready.":                   func(o *api.Overview) { o.Ready = []api.Check{{Name: "store", Reason: "disk full"}} },
		"1 injected fault is active.":  func(o *api.Overview) { o.Faults = make([]api.Fault, 1) },
		"2 injected faults are active": func(o *api.Overview) { o.Faults = make([]api.Fault, 2) },
		"No model is in charge yet":    func(o *api.Overview) { o.Champion = nil },
	} {
		changed := m
		change(&changed.Overview)
		html := render(t, changed)
		if !strings.Contains(html, want) || strings.Contains(html, "All is well") {
			t.Errorf("the page doesn't say %q, or says that all is well", want)
		}
	}
}

// The page's policy allows no inline style or script, its forms go to the server only, and what it loads is its own.
// TestAQueueOfSeveralTopicsSaysSo: while the model decides, the decision agent is sent each application twice.
func TestAQueueOfSeveralTopicsSaysSo(t *testing.T) {
	a := api.Agent{Name: "decision", State: "CRASHED", Queue: 4346, Topics: []string{"predictions", "features"}}
	m := Model{Overview: api.Overview{At: now, Mode: api.Mode{Mode: api.ModeModel}, Agents: []api.Agent{a}}}
	if html := render(t, m); !strings.Contains(html, "of 2 topics") {
		t.Error("a queue of two topics looks like one")
	}
	m.Overview.Agents[0].Topics = a.Topics[:1]
	if html := render(t, m); strings.Contains(html, "of 2 topics") {
		t.Error("a queue of one topic looks like more")
	}
}

// TestARollbackThatWouldBeRefused has no button but a reason.
func TestARollbackThatWouldBeRefused(t *testing.T) {
	m := Model{Overview: api.Overview{At: now, Mode: api.Mode{Mode: api.ModeModel}, Champion: &api.Model{Version: 3}, Previous: 2}}
	if html := render(t, m); !strings.Contains(html, "/actions/rollback") {
		t.Error("no button")
	}
	m.Overview.NoRollback = "healing took it away"
	if html := render(t, m); strings.Contains(html, "/actions/rollback") || !strings.Contains(html, "No rollback to v2: healing took it away") {
		t.Error("a button, or no reason")
	}
}

func TestThePageKeepsItsPolicy(t *testing.T) {
	html := render(t, full("x", .2))
	if bad := forbidden.FindString(html); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	for _, link := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if !strings.HasPrefix(link[1], "/") && !strings.HasPrefix(link[1], "#") || strings.HasPrefix(link[1], "//") {
			t.Errorf("the page links to %q", link[1])
		}
	}
	p, _ := New()
	for _, m := range regexp.MustCompile(`"/assets/([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if data, media, ok := p.Asset(m[1]); !ok || len(data) == 0 || media == "" {
			t.Errorf("asset %s: %d bytes, %q", m[1], len(data), media)
		}
	}
}

// Every figure is well-formed XML with a title and a description.
func TestFiguresAreWellFormed(t *testing.T) {
	html := render(t, full(`a & b < c "d"`, 12.5))
	figures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(html, -1)
	if len(figures) < 6 {
		t.Fatalf("%d figures", len(figures))
	}
	for _, f := range figures {
		d := xml.NewDecoder(strings.NewReader(f))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v: %.200s", err, f)
			}
		}
		if !strings.Contains(f, "aria-hidden") && (!strings.Contains(f, "<title>") || !strings.Contains(f, "<desc>")) {
			t.Errorf("a figure without title: %.120s", f)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1\u202f000"},
		{count(-1234567), "−1\u202f234\u202f567"},
		{millis(.012), "12 µs"},
		{millis(9.94), "9.9 ms"},
		{millis(9.99), "10.0 ms"},
		{millis(250.4), "250 ms"},
		{millis(1500), "1.5 s"},
		{millis(0), none},
		{rate(49.96), "50.0"},
		{rate(5321.4), "5\u202f321"},
		{rate(0), "0"},
		{age(-time.Second), "0 s"},
		{age(61 * time.Second), "1 min 01 s"},
		{age(25 * time.Hour), "25 h 00 min"},
		{age(50 * time.Hour), "2 days"},
		{percent(ptr(.0931)), "9.3 %"},
		{percent(nil), none},
		{short(4, "abcdef"), "abc…"},
		{tail(4, "äbcdef"), "…def"},
		{clock(time.Time{}), none},
		{clock((*time.Time)(nil)), none},
		{clock(now), "09:30:00"},
		{Done("mode"), "The mode is set."},
		{Done("<b>"), ""},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func BenchmarkRegions(b *testing.B) {
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	m := full("x", 12.5)
	for range 300 {
		m.Points = append(m.Points, Point{Rate: 50, Known: true, P99MS: 3})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Regions(m); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWhatTheScriptReplaces: every part that is marked has an id of its own, and on the page the server renders it again.
func TestWhatTheScriptReplaces(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	m := full("x", .2)
	again, err := p.Regions(m)
	if err != nil {
		t.Fatal(err)
	}
	var incident bytes.Buffer
	if err := p.RenderIncident(&incident, &IncidentPage{At: now, Detail: &m.Overview.Current[0]}); err != nil {
		t.Fatal(err)
	}
	for name, html := range map[string]string{"page": render(t, m), "incident": incident.String()} {
		seen := map[string]bool{}
		marked := regexp.MustCompile(`<[^<>]*\bdata-region\b[^<>]*>`).FindAllString(html, -1)
		for _, tag := range marked {
			_, id, _ := strings.Cut(tag, `id="`)
			id, _, _ = strings.Cut(id, `"`)
			if id == "" || seen[id] || strings.Count(html, `id="`+id+`"`) != 1 {
				t.Errorf("%s: %s: no id of its own", name, tag)
			}
			if _, ok := again[id]; name == "page" && !ok {
				t.Errorf("nobody renders %s again", tag)
			}
			seen[id] = true
		}
		for _, id := range []string{"live-state", "live-toggle"} {
			if !strings.Contains(html, `id="`+id+`"`) {
				t.Errorf("%s: the script finds no %s", name, id)
			}
		}
		if want := map[string]int{"page": len(regions), "incident": 5}[name]; len(marked) != want {
			t.Errorf("%s: %d parts, want %d", name, len(marked), want)
		}
	}
	if !strings.Contains(incident.String(), "<body data-again>") {
		t.Error("an incident's page is not asked for again")
	}
}
