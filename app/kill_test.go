package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// kills is how often each kill test kills: 10, in a short run 2, or AURA_KILLS.
func kills(t *testing.T) int {
	if s := os.Getenv("AURA_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("AURA_KILLS=%q is not a number of kills", s)
		}
		return n
	}
	if testing.Short() {
		return 2
	}
	return 10
}

const clients = 32

// TestKill kills the process under load, again and again, while mode and champion change, and compares what clients
// were told with the database: nothing accepted is lost, decided twice or changed, and no decision was committed under
// a mode or a champion that had been replaced before.
func TestKill(t *testing.T) {
	for _, bus := range []string{"memory", "gochannel"} {
		t.Run(bus, func(t *testing.T) { killUnderLoad(t, t.TempDir(), bus, kills(t)) })
	}
}

func killUnderLoad(t *testing.T, dir, bus string, kills int) {
	t.Helper()
	trainTwo(t, dir)
	const seed = 1
	t.Logf("seed %d, %d kills, %d clients", seed, kills, clients)
	run := &killRun{book: newBook(), random: rand.New(rand.NewPCG(seed, 2))}
	p := start(t, dir, "--bus", bus)
	run.base.Store(&p.base)
	var load sync.WaitGroup
	for c := range clients {
		load.Go(func() { run.client(c) })
	}
	load.Go(func() { run.switcher() })
	for range kills {
		run.wait(t, 100+run.random.IntN(400))
		p.kill()
		p = start(t, dir, "--bus", bus)
		run.base.Store(&p.base)
	}
	run.wait(t, 200)
	run.stop.Store(true)
	load.Wait()
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, p.out)
	}
	t.Logf("%d applications answered, %d sent again after a cut, %d changes of mode and champion",
		run.acked.Load(), run.resent.Load(), run.switches.Load())
	if run.switches.Load() == 0 {
		t.Error("neither mode nor champion changed: the test is not what it says")
	}
	checkBook(t, dir, run.book)
}

// killRun is the load on one series of processes.
type killRun struct {
	base                    atomic.Pointer[string]
	stop                    atomic.Bool
	acked, resent, switches atomic.Int64
	decided                 atomic.Int64 // of the acked ones, with the decision
	book                    *book
	random                  *rand.Rand
}

// wait lets n more applications be answered.
func (k *killRun) wait(t *testing.T, n int) {
	t.Helper()
	want, deadline := k.acked.Load()+int64(n), time.Now().Add(60*time.Second)
	for k.acked.Load() < want {
		if time.Now().After(deadline) {
			t.Fatalf("no %d answers within a minute of the start", n)
		}
		time.Sleep(time.Millisecond) // load is what is waited for; nothing signals its count
	}
}

// client posts applications one after the other, each until it is answered; now and then it asks for an old one again.
func (k *killRun) client(c int) {
	random := rand.New(rand.NewPCG(uint64(c), 7))
	for n := 0; !k.stop.Load(); n++ {
		id := fmt.Sprintf("c%d-%d", c, n)
		body := map[string]any{"application_id": id, "features": randomFeatures(random)}
		k.post(id, body)
		if n%10 == 9 {
			k.again(body, id)
		}
	}
}

// post sends one application until somebody says that it is accepted.
func (k *killRun) post(id string, body any) {
	for first := true; ; first = false {
		var r sighting
		status, err := call(http.MethodPost, *k.base.Load()+"/api/v1/applications", body, &r)
		switch {
		case err == nil && status == http.StatusOK:
			k.book.decided(id, r)
			k.acked.Add(1)
			k.decided.Add(1)
			return
		case err == nil && status == http.StatusAccepted:
			k.book.accepted(id)
			k.acked.Add(1)
			return
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			k.book.wrong("POST %s: status %d", id, status)
			return
		}
		if first {
			k.resent.Add(1)
		}
		if k.stop.Load() && err != nil {
			return // not answered: nothing is promised about it
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// again sends a known application once more: the decision must be the same one.
func (k *killRun) again(body any, id string) {
	var r sighting
	if status, err := call(http.MethodPost, *k.base.Load()+"/api/v1/applications", body, &r); err == nil && status == http.StatusOK {
		k.book.decided(id, r)
	}
}

// switcher changes the mode and the champion all the time.
func (k *killRun) switcher() {
	for n := 0; !k.stop.Load(); n++ {
		base := *k.base.Load()
		var status int
		var err error
		switch n % 4 {
		case 0:
			status, err = call(http.MethodPut, base+"/api/v1/mode", map[string]string{"mode": "SAFE_MODE", "reason": "kill test"}, nil)
		case 1:
			status, err = call(http.MethodPost, base+"/api/v1/models/2/promote", map[string]string{"reason": "kill test"}, nil)
		case 2:
			status, err = call(http.MethodPut, base+"/api/v1/mode", map[string]string{"mode": "MODEL", "reason": "kill test"}, nil)
		case 3:
			status, err = call(http.MethodPost, base+"/api/v1/models/1/promote", map[string]string{"reason": "kill test"}, nil)
		}
		if err == nil && status == http.StatusOK {
			k.switches.Add(1)
		} else if err == nil && status/100 == 4 {
			k.book.wrong("change %d was refused with %d", n%4, status)
		}
		time.Sleep(20 * time.Millisecond) // leaves room for decisions between two changes
	}
}

func randomFeatures(r *rand.Rand) map[string]any {
	return map[string]any{
		"credit_score": 300 + r.IntN(551), "debt_ratio": float64(r.IntN(1000)) / 10, "income": 10000 + r.IntN(100000),
		"loan_amount": 1000 + r.IntN(50000), "employment_years": r.IntN(40),
	}
}

// trainTwo fills the registry with two versions; the first is the champion.
func trainTwo(t *testing.T, dir string) {
	t.Helper()
	for _, seed := range []string{"1", "2"} {
		var out safeBuffer
		args := []string{"train", "--dir", dir, "--seed", seed, "--trees", "20", "--set", "training.rows=2000", "-o", "json"}
		if address := serverOf(dir); address != "" {
			args = append(args, "--db", address)
		}
		if code := program(args, &out, &out); code != 0 {
			t.Fatalf("train ended with %d\n%s", code, &out)
		}
	}
}
