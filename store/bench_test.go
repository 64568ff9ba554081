package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// callers are how many goroutines write at once, one row a call.
var callers = []int{1, 32, 256}

// fsyncTime is the median of write 8 KB + fsync, the unit in which the figures are to be read.
func fsyncTime(b *testing.B, dir string) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	must(b, err)
	defer func() { must(b, f.Close()) }()
	page := make([]byte, 8192)
	took := make([]time.Duration, 100)
	for i := range took {
		begin := time.Now()
		_, err := f.Write(page)
		must(b, err)
		must(b, f.Sync())
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// cpuTime is what this process has used: beside neighbours it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// run shares b.N calls of work among n goroutines and reports calls a second and the time of a call.
func run(b *testing.B, s *Store, n int, work func(ctx context.Context, i int) error) {
	b.Helper()
	fs := fsyncTime(b, s.Dir())
	took := make([]int64, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	before := s.Stats()
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				if err := work(context.Background(), i); err != nil {
					b.Error(err)
					return
				}
				took[i] = int64(time.Since(begin))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	after := s.Stats()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ev/s")
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/ev")
	b.ReportMetric(float64(fs.Microseconds()), "fsync-us")
	b.ReportMetric(float64(after.Accepted+after.Decided-before.Accepted-before.Decided)/float64(after.Transactions-before.Transactions), "rows/tx")
}

func BenchmarkAccept(b *testing.B) {
	for _, n := range callers {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openDir(b, Options{Dir: b.TempDir()})
			run(b, s, n, func(ctx context.Context, i int) error {
				_, err := s.Accept(ctx, []Application{benchApplication})
				return err
			})
		})
	}
}

var benchApplication = Application{
	Features:   []byte(`{"credit_score":700,"debt_ratio":0.31,"income":54000,"loan_amount":12000,"employment_years":4}`),
	BodyDigest: make([]byte, 32), Source: SourceSimulator, TraceID: "0af7651916cd43dd8448eb211c80319c",
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range callers {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openDir(b, Options{Dir: b.TempDir()})
			as := make([]Application, b.N)
			for i := range as {
				as[i] = app(b, "", "1")
			}
			for part := range slices.Chunk(as, 2000) {
				accept(b, s, part...)
			}
			g := generations(b, s)
			run(b, s, n, func(ctx context.Context, i int) error {
				_, err := s.Decide(ctx, []Decision{verdict(as[i], g, .5)})
				return err
			})
		})
	}
}

// BenchmarkD1 is an application's whole way through the store: accepted, decided, the row read back.
func BenchmarkD1(b *testing.B) {
	for _, n := range append(callers, 1000) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openDir(b, Options{Dir: b.TempDir()})
			g := generations(b, s)
			run(b, s, n, func(ctx context.Context, i int) error {
				out, err := s.Accept(ctx, []Application{benchApplication})
				if err != nil {
					return err
				}
				d, err := s.Decide(ctx, []Decision{verdict(out[0].Application, g, .5)})
				if err == nil && d[0].Status != Written {
					err = fmt.Errorf("status %d", d[0].Status)
				}
				return err
			})
			c, err := s.Counts(context.Background())
			must(b, err)
			if c.Decisions != int64(b.N) {
				b.Fatalf("%d decisions are stored, %d were answered", c.Decisions, b.N)
			}
		})
	}
}

// BenchmarkFeedback joins outcomes in calls of 100.
func BenchmarkFeedback(b *testing.B) {
	s := openDir(b, Options{Dir: b.TempDir()})
	const batch = 100
	as := many(b, batch*b.N)
	g := generations(b, s)
	for part := range slices.Chunk(as, 2000) {
		accept(b, s, part...)
		ds := make([]Decision, len(part))
		for i := range part {
			ds[i] = verdict(part[i], g, .5)
		}
		decide(b, s, ds...)
	}
	run(b, s, 1, func(ctx context.Context, i int) error {
		fs := make([]Feedback, batch)
		for k := range fs {
			fs[k] = Feedback{ApplicationID: as[i*batch+k].ID, Outcome: Repaid, ObservedAt: time.Now(), ReceivedAt: time.Now()}
		}
		_, err := s.AddFeedback(ctx, fs)
		return err
	})
}

// BenchmarkPlace is the look at the file's name that each transaction takes twice.
func BenchmarkPlace(b *testing.B) {
	s := openDir(b, Options{Dir: b.TempDir()})
	b.ReportAllocs()
	for b.Loop() {
		must(b, s.place.held())
	}
}
