package bustest

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aura/agents/bus"
)

// model is what a lane is, said simply: two lists of numbers.
type model struct {
	waiting, taken []int
	dropped        int64
	capacity       int
	overflow       bus.Overflow
	next           int
}

// publish adds one number if the lane takes it; it reports false where a publisher would have to wait.
func (m *model) publish(i int) bool {
	if len(m.waiting)+len(m.taken) < m.capacity {
		m.waiting = append(m.waiting, i)
		return true
	}
	if m.overflow == bus.Block {
		return false
	}
	m.waiting = append(m.waiting, i)[1:]
	m.dropped++
	return true
}

// testModel drives a lane and the model with the same random steps.
func testModel(t *testing.T, open Open, f Features) {
	if !f.Ordered {
		t.Skip("the model has an order")
	}
	ctx, b := start(t, open)
	patient := ctx // where there is always room, a broker's answer takes its time
	if f.Bounded {
		patient = ended()
	}
	var box bus.Mailbox
	if f.Slow { // opening a mailbox is what takes the time: one for all runs, emptied after each
		box = mailbox(t, b, bus.MailboxOptions{Topic: topic})
	}
	next := 0
	rapid.Check(t, func(r *rapid.T) {
		m := &model{capacity: 1 << 30, next: next}
		box := box
		var lane bus.Lane
		if f.Bounded {
			m.capacity = rapid.IntRange(1, 8).Draw(r, "capacity")
		}
		if f.Slow {
			defer func() {
				next = m.next
				if lane != nil {
					lane.Return()
					take(ctx, t, lane, len(m.taken)+len(m.waiting))
					lane.Ack(len(m.taken) + len(m.waiting))
				}
			}()
		} else {
			box = mailbox(t, b, bus.MailboxOptions{Topic: topic, Capacity: m.capacity & 63}) // 0 where it is not bounded
			defer func() { _ = box.Close() }()
		}
		steps := map[string]func(*rapid.T){
			"publish": func(r *rapid.T) {
				n := rapid.IntRange(1, 6).Draw(r, "n")
				err := b.Publish(patient, numbered("k", m.next, m.next+n)...)
				fits := true
				for i := m.next; i < m.next+n && fits; i++ {
					fits = m.publish(i)
				}
				m.next += n
				if fits != (err == nil) || !fits && !errors.Is(err, bus.ErrFull) {
					r.Fatalf("publish: %v, model: %v", err, fits)
				}
				if lane == nil {
					lane = busy(ctx, t, box)
				}
			},
			"take": func(r *rapid.T) {
				if len(m.waiting) == 0 {
					r.Skip("it would wait")
				}
				limit := rapid.IntRange(1, 8).Draw(r, "limit")
				batch, err := lane.Take(ctx, limit)
				if err != nil || len(batch) == 0 || len(batch) > limit {
					r.Fatalf("take %d gave %d: %v", limit, len(batch), err)
				}
				got := numbers(batch)
				if want := m.waiting[:min(len(got), len(m.waiting))]; !slices.Equal(got, want) {
					r.Fatalf("took %v, model %v", got, m.waiting)
				}
				if f.Bounded && len(got) != min(limit, len(m.waiting)) {
					r.Fatalf("took %d of %d, limit %d", len(got), len(m.waiting), limit)
				}
				m.taken = append(m.taken, got...)
				m.waiting = m.waiting[len(got):]
			},
			"ack": func(r *rapid.T) {
				if len(m.taken) == 0 {
					r.Skip("nothing taken")
				}
				n := rapid.IntRange(1, len(m.taken)).Draw(r, "n")
				lane.Ack(n)
				m.taken = m.taken[n:]
			},
			"return": func(*rapid.T) {
				if lane != nil {
					lane.Return()
				}
				m.waiting, m.taken = append(slices.Clone(m.taken), m.waiting...), nil
			},
			"": func(r *rapid.T) {
				if !f.Bounded {
					return
				}
				if box.Depth() != len(m.waiting)+len(m.taken) || box.Dropped() != m.dropped {
					r.Fatalf("depth %d, dropped %d, model %+v", box.Depth(), box.Dropped(), m)
				}
			},
		}
		if f.Bounded {
			steps["overflow"] = func(r *rapid.T) {
				m.overflow = bus.Overflow(rapid.IntRange(0, 1).Draw(r, "overflow"))
				box.SetOverflow(m.overflow)
			}
		}
		r.Repeat(steps)
	})
}
