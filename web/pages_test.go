package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aura/web/api"
)

const formType = "application/x-www-form-urlencoded"

func TestFormsDoWhatTheySay(t *testing.T) {
	for _, test := range []struct {
		path, body, location string
		check                func(*fake) bool
	}{
		{"/actions/mode", "mode=SAFE_MODE&reason=too+slow", "/?done=mode", func(f *fake) bool {
			return f.mode == api.ModeSafe && f.changes[0] == api.Change{By: "local", Reason: "too slow"}
		}},
		{"/actions/agents/model/restart", "reason=by+the+page%27s+button", "/?done=restart", func(f *fake) bool { return len(f.changes) == 1 && f.changes[0].Reason == "by the page's button" }},
		{"/actions/rollback", "reason=+worse+", "/?done=rollback", func(f *fake) bool { return len(f.changes) == 1 && f.changes[0].Reason == "worse" }},
		{"/actions/faults", "target=model&kind=latency&delay=2s&ttl=30s", "/?done=inject", func(f *fake) bool {
			return len(f.faults) == 1 && f.faults[0].Kind == "latency" && f.faults[0].Delay == "2s"
		}},
		{"/actions/faults", "target=model&kind=crash&delay=2s&ttl=30s", "/?done=inject", func(f *fake) bool {
			return len(f.faults) == 1 && f.faults[0].Delay == ""
		}},
		{"/actions/faults", "kind=drift&feature=income&value=30000&target=model&ttl=3m", "/?done=inject", func(f *fake) bool {
			return f.faults[0].Target == "source" && f.faults[0].Feature == "income" && *f.faults[0].Mean == 30000
		}},
		{"/actions/faults", "kind=stuck&feature=purpose&value=car&ttl=3m", "/?done=inject", func(f *fake) bool {
			return f.faults[0].Category == "car" && f.faults[0].Value == nil
		}},
		{"/actions/faults", "kind=label-noise&feature=income&value=.3&ttl=3m", "/?done=inject", func(f *fake) bool {
			return f.faults[0].Share == .3 && f.faults[0].Feature == ""
		}},
		{"/actions/faults", "kind=bad-model&feature=income&value=&ttl=3m", "/?done=inject", func(f *fake) bool {
			return f.faults[0].Target == "model" && f.faults[0].Share == 1
		}},
		{"/actions/faults/stop", "", "/?done=stop", func(f *fake) bool { return len(f.faults) == 0 }},
	} {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", test.path, test.body, "Content-Type", formType)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != test.location || !test.check(f) {
			t.Errorf("%s %s: %d to %q, %+v %+v: %.200s", test.path, test.body, w.Code, w.Header().Get("Location"), f.changes, f.faults, w.Body)
		}
	}
}

func TestAFormThatIsRefusedShowsThePageWithTheReason(t *testing.T) {
	for _, test := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"/actions/agents/nobody/restart", "reason=x", 404, "there is no agent"},
		{"/actions/agents/%3Cscript%3Ex/restart", "reason=x", 404, "&lt;script&gt;"},
		{"/actions/mode", "mode=NEITHER", 422, "Not done:"},
		{"/actions/mode", "mode=SAFE_MODE&reason=", 422, "reason missing: "},
		{"/actions/mode", "mode=SAFE_MODE&reason=+++", 422, "reason missing: "},
		{"/actions/agents/model/restart", "", 422, "reason missing: "},
		{"/actions/rollback", "", 422, "reason missing: "},
		{"/actions/healing", "verb=pause", 422, "reason missing: "},
		{"/actions/approvals", "request=r-1&decision=APPROVED", 422, "reason missing: "},
		{"/actions/incidents", "incident=i-1&verb=retry&reason=+", 422, "reason missing: "},
		{"/actions/faults", "target=model&kind=flood&ttl=30s", 422, "Not done:"},
		{"/actions/faults", "target=model&kind=error&ttl=30h", 422, "Not done:"},
	} {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", test.path, test.body, "Content-Type", formType)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) || !strings.Contains(w.Body.String(), `id="pipeline"`) {
			t.Errorf("%s %s: %d: %.200s", test.path, test.body, w.Code, w.Body)
		}
		if len(f.changes)+len(f.faults) > 0 || strings.Contains(w.Body.String(), "<script>x") {
			t.Errorf("%s %s: something was done", test.path, test.body)
		}
	}
	w := call(newTestServer(t, &fake{}), "POST", "/actions/mode", "reason="+strings.Repeat("x", 20000), "Content-Type", formType)
	if w.Code != http.StatusBadRequest {
		t.Errorf("a huge form: %d", w.Code)
	}
}

func TestPageByItself(t *testing.T) {
	s := newTestServer(t, &fake{})
	for path, want := range map[string]string{
		"/": ">AURA</title>", "/?done=mode": "The mode is set.", "/?refresh=5": `http-equiv="refresh"`,
	} {
		w := call(s, "GET", path, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", path, w.Code, w.Header())
		}
	}
	if w := call(s, "GET", "/?done=%3Cb%3EYou+have+won", ""); strings.Contains(w.Body.String(), "You have won") {
		t.Error("a link puts words on the page")
	}
}

func TestTheSampleIsTakenOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		l := newTestServer(t, f).live
		decidedSoFar := int64(0)
		l.backend.Overview = overviewFunc(func(context.Context) (api.Overview, error) {
			decidedSoFar += 50
			return api.Overview{At: time.Now(), Decided: decidedSoFar}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); l.run(ctx) }()
		time.Sleep(400*time.Second + time.Millisecond)
		cancel()
		<-ended
		if len(l.points) != keepPoints || decidedSoFar != 401*50 {
			t.Errorf("%d points after %d decisions", len(l.points), decidedSoFar)
		}
		if rate := l.points[keepPoints-1].Rate; rate != 50 {
			t.Errorf("rate %v, want 50", rate)
		}
	})
}

// When the overview can't be read any more the page still comes, with the last figures, and says that they are old.
func TestAnOldPageSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := newTestServer(t, f)
		if w := call(s, "GET", "/", ""); w.Code != 200 || strings.Contains(w.Body.String(), "figures are old") {
			t.Fatalf("%d: the first page is old", w.Code)
		}
		f.err = http.ErrHandlerTimeout
		time.Sleep(time.Minute)
		if w := call(s, "GET", "/", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "figures are old") {
			t.Errorf("%d: an old page doesn't say so", w.Code)
		}
		e, err := s.live.event(t.Context())
		if err != nil || !strings.Contains(string(e.data), "figures are old") {
			t.Errorf("the stream: %v", err)
		}
		f.err = nil
		if w := call(s, "GET", "/", ""); strings.Contains(w.Body.String(), "figures are old") {
			t.Error("it stays old")
		}
	})
}

type overviewFunc func(context.Context) (api.Overview, error)

func (f overviewFunc) Overview(ctx context.Context) (api.Overview, error) { return f(ctx) }

// Who loads the page sees what is, not the last second's sample; the charts keep to their second.
func TestALoadedPageIsOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fake{})
		mode := api.ModeModel
		s.live.backend.Overview = overviewFunc(func(context.Context) (api.Overview, error) {
			return api.Overview{At: time.Now(), Mode: api.Mode{Mode: mode}}, nil
		})
		s.live.sample(t.Context())
		time.Sleep(300 * time.Millisecond)
		mode = api.ModeSafe
		if w := call(s, "GET", "/", ""); !strings.Contains(w.Body.String(), "Safe mode.") {
			t.Error("300 ms after the sample the page shows the mode of the sample")
		}
		if n := len(s.live.points); n != 1 {
			t.Errorf("%d points in one second", n)
		}
	})
}

func TestThePageSaysWhoMirrors(t *testing.T) {
	for want, m := range map[string]*api.Mirror{
		"has all 3 versions and the aliases.": {Address: "http://mlflow", Equal: true, Versions: 3},
		"no connection. Decisions don’t wait": {Address: "http://mlflow", Problem: "no connection"},
		"another process keeps it equal.":     {Address: "http://mlflow", Elsewhere: true},
	} {
		f := &fake{overview: api.Overview{At: then, Started: then, Champion: &api.Model{Version: 3}, Mirror: m}}
		if page := call(newTestServer(t, f), "GET", "/", "").Body.String(); !strings.Contains(page, want) {
			t.Errorf("%+v: the page lacks %q", m, want)
		}
	}
}
