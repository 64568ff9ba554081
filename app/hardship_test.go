package app_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/app/config"
	"aura/store"
)

// TestDiskFull fills the disk under the running process: clients are told 503 and why; with room again everything goes
// on by itself, and what was accepted before is decided.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mountTmpfs(t, dir, "6m")
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	r := runIn(t, dir, nil)
	r.decide("before")
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	told := newBook()
	var refused reply
	until(t, 20*time.Second, "a full disk", func() string {
		id := fmt.Sprintf("full-%d", time.Now().UnixNano())
		got, err := r.post("applications", application(id, 700), "Prefer", "respond-async")
		if err != nil {
			return err.Error()
		}
		if got.Status == http.StatusOK || got.Status == http.StatusAccepted {
			told.accepted(id)
			return fmt.Sprintf("still taken: %d", got.Status)
		}
		refused = got
		return ""
	})
	if refused.Status != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" || !strings.Contains(refused.Problem.Detail, "disk_full") {
		t.Errorf("a full disk was answered with %d %v %s; want 503, Retry-After and disk_full", refused.Status, refused.Header, refused.Body)
	}
	if status, _ := get(t, r.URL()+"/livez"); status != http.StatusOK {
		t.Errorf("livez on a full disk: %d", status)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "recovery", func() string { return r.decides("room", "MODEL") })
	r.stop()
	checkBook(t, dir, told)
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, chunk := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, chunk))
		}
	}
}

// TestDatabaseLocked has somebody's tool lock the database: past the busy timeout clients are told 503 and why, and
// when the lock goes everything goes on by itself.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	r.decide("before")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "aura.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)") // the process itself may be writing just then
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }()
	got, err := r.post("applications", application("locked", 700))
	if err != nil || got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Problem.Detail, "locked") {
		t.Errorf("a locked database was answered with %d %v %s, %v; want 503, Retry-After and locked", got.Status, got.Header, got.Body, err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "recovery", func() string { return r.decides("unlocked", "MODEL") })
	if s := r.decide("locked"); s.Decision == "" {
		t.Errorf("what was refused can't be sent again: %+v", s)
	}
	r.stop()
	checkBook(t, r.dir, newBook())
}

// TestBrokenChampion starts on a champion whose file is broken or gone: it says so, readyz too, applications are taken
// and wait, the rules can decide them, and the model decides again when the file is mended or another one promoted.
func TestBrokenChampion(t *testing.T) {
	t.Parallel()
	for _, trouble := range []string{"corrupt", "missing"} {
		for _, remedy := range []string{"mended", "promoted"} {
			t.Run(trouble+"/"+remedy, func(t *testing.T) {
				t.Parallel()
				brokenChampion(t, trouble, remedy)
			})
		}
	}
}

func modelFile(t *testing.T, dir string, version int) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "models", fmt.Sprintf("v%06d-*", version)))
	if err != nil || len(found) != 1 {
		t.Fatalf("file of version %d: %v, %v", version, found, err)
	}
	return found[0]
}

func damage(t *testing.T, path, how string) (whole []byte) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if how == "corrupt" {
		bad := append([]byte(nil), whole...)
		bad[len(bad)/2] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return whole
}

func brokenChampion(t *testing.T, trouble, remedy string) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	file := modelFile(t, dir, 1)
	whole := damage(t, file, trouble)
	r := runIn(t, dir, nil)
	status, body := r.ready()
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "version 1") {
		t.Errorf("readyz: %d %s; want 503 and the version named", status, body)
	}
	if log := r.log.String(); !strings.Contains(log, "the champion could not be loaded") {
		t.Errorf("the log doesn't say that the champion could not be loaded:\n%s", log)
	}
	waiting := r.accept("waiting", 5)
	if n := r.parts.Window.Undecided(); n != 5 {
		t.Errorf("%d applications wait, want 5", n)
	}
	r.setMode("SAFE_MODE")
	for _, s := range r.decided(10*time.Second, waiting...) {
		if s.Mode != "SAFE_MODE" {
			t.Errorf("not decided by the rules: %+v", s)
		}
	}
	if status, body := r.ready(); status != http.StatusOK {
		t.Errorf("readyz in safe mode: %d %s", status, body)
	}
	r.setMode("MODEL")
	later := r.accept("later", 5)
	version := 1
	if remedy == "mended" {
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		version = 2
		r.must(http.StatusOK, http.MethodPost, "models/2/promote", map[string]string{"reason": "version 1 is broken"}, nil)
	}
	for _, s := range r.decided(10*time.Second, later...) {
		if s.Mode != "MODEL" || s.ModelVersion != version {
			t.Errorf("not decided by version %d: %+v", version, s)
		}
	}
	if status, body := r.ready(); status != http.StatusOK {
		t.Errorf("readyz with a champion: %d %s", status, body)
	}
	r.stop()
	checkBook(t, dir, newBook())
}

// TestBrokenModelIsNotPromoted refuses a target whose file is broken or gone, and the champion stays in charge.
func TestBrokenModelIsNotPromoted(t *testing.T) {
	t.Parallel()
	for _, trouble := range []string{"corrupt", "missing"} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil)
			damage(t, modelFile(t, r.dir, 2), trouble)
			got, err := r.post("models/2/promote", `{"reason":"test"}`)
			if err != nil || got.Status != http.StatusConflict || got.Problem.Detail == "" {
				t.Errorf("promoting a %s file: %d %s, %v; want 409 with the reason", trouble, got.Status, got.Body, err)
			}
			if s := r.decide("after"); s.ModelVersion != 1 {
				t.Errorf("the champion changed: %+v", s)
			}
			if n := r.count(`SELECT generation FROM desired_state WHERE setting = 'champion'`); n != 1 {
				t.Errorf("the champion's generation moved to %d", n)
			}
		})
	}
}

// TestWindowFull fills the window behind a hanging model: clients are told 429 and when to come again, and with the
// model back there is room.
func TestWindowFull(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *config.Config) {
		c.Admission.Window = 20
		c.Agents.StageDeadline = 30 * time.Second // nobody gives the hung life up while the window is filled
	})
	r.inject(fault.Fault{Target: "model", Kind: fault.Hang, Times: 1})
	ids := r.accept("w", 20)
	got, err := r.post("applications", application("one more", 700))
	if err != nil || got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" || got.Problem.Type != "urn:aura:problem:full" {
		t.Errorf("a full window was answered with %d %v %s, %v; want 429 and Retry-After", got.Status, got.Header, got.Body, err)
	}
	if n := r.count(`SELECT COUNT(*) FROM applications`); n != 20 {
		t.Errorf("%d applications are stored, want the 20 accepted ones", n)
	}
	r.parts.Faults.Clear()
	r.decided(20*time.Second, ids...)
	if s := r.decide("one more"); s.Decision == "" {
		t.Errorf("no room after all: %+v", s)
	}
}

// TestPoison sends the model agent a vector that panics in the forest, each time, as a faulty producer on the bus might:
// the application is referred to a person with a dead letter, the others flow.
func TestPoison(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"memory", "gochannel"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := run(t, func(c *config.Config) { c.Bus.Kind, c.Sweep.MinAge, c.Sweep.MaxAge = kind, time.Hour, time.Hour })
			letters := deadLetters(t, r, event.FeaturesTopic)
			s := newStorm(r)
			s.start()
			s.progress(20)
			subject := commit(t, r, "poison")
			m := bus.NewMessage(&event.Features{Subject: subject, Values: make([]float64, 5), Vector: []float64{1}}, time.Now())
			if err := r.parts.Transport.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			d := r.decided(30*time.Second, "poison")[0]
			if d.Decision != "REFER" || d.Rule != "TECHNICAL" {
				t.Errorf("poison was decided %+v; want REFER by rule TECHNICAL", d)
			}
			until(t, 10*time.Second, "the dead letter", func() string {
				if l := letters.Load(); l == nil || l.Subject != "poison" || l.Agent != "model" || !strings.Contains(l.Error, "panic") || len(l.Payload) == 0 {
					return fmt.Sprintf("%+v", l)
				}
				return ""
			})
			s.progress(100)
			s.end()
			r.stop()
			if n := r.count(`SELECT COUNT(*) FROM decisions WHERE rule = 'TECHNICAL'`); n != 1 {
				t.Errorf("%d technical referrals: poison took others with it", n)
			}
			checkBook(t, r.dir, s.book)
		})
	}
}

// commit stores an application as ingestion would, but sends it nowhere.
func commit(t *testing.T, r *running, id string) event.Subject {
	t.Helper()
	results, err := r.parts.Store.Accept(t.Context(), []store.Application{{
		ApplicationID: id, Features: []byte(`{}`), BodyDigest: []byte(id), Source: "test", AcceptedAt: time.Now().UTC(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	a := results[0].Application
	return event.Subject{ID: a.ID, ApplicationID: a.ApplicationID, AcceptedAt: a.AcceptedAt, Source: a.Source, TraceID: a.TraceID}
}

// deadLetters holds the last dead letter of a topic.
func deadLetters(t *testing.T, r *running, from event.Topic) *atomic.Pointer[event.DeadLetter] {
	t.Helper()
	var last atomic.Pointer[event.DeadLetter]
	r.hear(t, (&event.DeadLetter{From: from}).Topic(), func(m *bus.Message) {
		if l, ok := m.Event.(*event.DeadLetter); ok {
			last.Store(l)
		}
	})
	return &last
}

// TestDamagedRow starts on an undecided application whose stored features no schema accepts: it is referred to a person,
// once, and the others flow.
func TestDamagedRow(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	r.inject(fault.Fault{Target: "feature", Kind: fault.Hang})
	r.accept("good", 20)
	commit(t, r, "damaged") // {} is stored: every feature is missing
	dir := r.dir
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r.stop() // the hang ends here, so the copy is what a kill would have left
	again := runIn(t, killed, nil)
	load := newStorm(again)
	load.start()
	d := again.decided(30*time.Second, "damaged")[0]
	if d.Decision != "REFER" || d.Rule != "TECHNICAL" {
		t.Errorf("damaged was decided %+v; want REFER by rule TECHNICAL", d)
	}
	for i := range 20 {
		if d := again.decided(10*time.Second, fmt.Sprintf("good-%d", i))[0]; d.Rule == "TECHNICAL" {
			t.Errorf("a good one was referred: %+v", d)
		}
	}
	load.end()
	again.stop()
	checkBook(t, killed, load.book)
}

// TestADatabaseThatWasTakenAway: a directory with models and without their database begins anew, and says what it can't know any
// more.
func TestADatabaseThatWasTakenAway(t *testing.T) {
	t.Parallel()
	r := runIn(t, t.TempDir(), nil)
	r.stop()
	if log := r.log.String(); strings.Contains(log, "model files of an earlier one") {
		t.Errorf("a new directory is said to have a past:\n%s", log)
	}
	if err := os.Remove(filepath.Join(r.dir, "aura.db")); err != nil {
		t.Fatal(err)
	}
	again := runIn(t, r.dir, nil)
	again.stop()
	if log := again.log.String(); !strings.Contains(log, "model files of an earlier one") || !strings.Contains(log, "files=1") {
		t.Errorf("nothing is said:\n%s", log)
	}
}
