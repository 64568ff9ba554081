package bustest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"aura/agents/bus"
)

// ledger checks what readers report: each number of each key once, in order if that is promised.
type ledger struct {
	mu      sync.Mutex
	ordered bool
	want    int
	n       int
	last    map[string]int
	seen    map[string]map[int]bool
	wrong   []string
}

func newLedger(ordered bool, want int) *ledger {
	return &ledger{ordered: ordered, want: want, last: map[string]int{}, seen: map[string]map[int]bool{}}
}

// add reports true when all that was wanted is there.
func (g *ledger) add(m *bus.Message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	key, i := m.Key(), number(m)
	if g.seen[key] == nil {
		g.seen[key] = map[int]bool{}
		g.last[key] = -1
	}
	switch {
	case g.seen[key][i]:
		g.wrong = append(g.wrong, fmt.Sprintf("%s/%d came twice", key, i))
	case g.ordered && i != g.last[key]+1:
		g.wrong = append(g.wrong, fmt.Sprintf("%s/%d came after %d", key, i, g.last[key]))
	}
	g.seen[key][i], g.last[key] = true, i
	g.n++
	return g.n >= g.want
}

func (g *ledger) check(t testing.TB) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n != g.want || len(g.wrong) > 0 {
		t.Fatalf("got %d messages, want %d; %d wrong: %.300v", g.n, g.want, len(g.wrong), g.wrong)
	}
}

// publishers writes perKey numbers of keysEach keys from each of several goroutines, in batches of mixed keys.
func publishers(ctx context.Context, b bus.Transport, writers, keysEach, perKey int) (wait func() error) {
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			failed <- func() error {
				random := rand.New(rand.NewPCG(uint64(w), 1))
				next := make([]int, keysEach)
				for left := keysEach * perKey; left > 0; {
					var batch []*bus.Message
					for range min(left, 1+random.IntN(20)) {
						k := random.IntN(keysEach)
						for next[k] == perKey {
							k = (k + 1) % keysEach
						}
						batch = append(batch, numbered(fmt.Sprintf("writer %d key %d", w, k), next[k], next[k]+1)...)
						next[k]++
					}
					if err := b.Publish(ctx, batch...); err != nil {
						return err
					}
					left -= len(batch)
				}
				return nil
			}()
		}()
	}
	return func() error {
		for range writers {
			if err := <-failed; err != nil {
				return fmt.Errorf("publisher: %w", err)
			}
		}
		return nil
	}
}

func testOrder(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 64})
	perKey := f.load(1000)
	g := newLedger(f.Ordered, 4*5*perKey)
	read := reading(ctx, box, g.add)
	if err := publishers(ctx, b, 4, 5, perKey)(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	g.check(t)
}

func testGroups(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	n := 4 * 5 * f.load(100)
	var reads []func() error
	var ledgers []*ledger
	for _, group := range []string{"one", "two", "three"} {
		box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: group})
		if again := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: group}); again != box {
			t.Fatalf("group %s opened again is another mailbox", group)
		}
		g := newLedger(f.Ordered, n)
		ledgers = append(ledgers, g)
		reads = append(reads, reading(ctx, box, g.add))
	}
	if err := publishers(ctx, b, 4, 5, n/20)(); err != nil {
		t.Fatal(err)
	}
	for i, read := range reads {
		if err := read(); err != nil {
			t.Fatal(err)
		}
		ledgers[i].check(t)
	}
}

func testPrivate(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	group := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	early := mailbox(t, b, bus.MailboxOptions{Topic: topic})
	publish(ctx, t, b, numbered("k", 0, 3)...)
	take(ctx, t, busy(ctx, t, group), 3) // they have arrived
	late := mailbox(t, b, bus.MailboxOptions{Topic: topic})
	if early == late {
		t.Fatal("two private subscriptions share a mailbox")
	}
	publish(ctx, t, b, numbered("k", 3, 5)...)
	for name, c := range map[string]struct {
		box  bus.Mailbox
		want []int
	}{"early": {early, []int{0, 1, 2, 3, 4}}, "late": {late, []int{3, 4}}} {
		got := numbers(take(ctx, t, busy(ctx, t, c.box), len(c.want)))
		if !same(got, c.want, f.Ordered) {
			t.Errorf("the %s subscription saw %v, want %v", name, got, c.want)
		}
	}
}
