package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/feature"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/train"
	"aura/store"
)

// BenchmarkPipeline is the way of one application from Submit to its decision, with 256 callers. store=sqlite is D1
// whole: committed, decided, read back, synchronous FULL. store=none keeps nothing and shows what agents, bus and model
// cost by themselves. router is the same work on Watermill's GoChannel and Router with JSON between the stages.
func BenchmarkPipeline(b *testing.B) {
	b.Run("store=sqlite", func(b *testing.B) { benchWhole(b, "memory") })
	b.Run("store=sqlite/gochannel", func(b *testing.B) { benchWhole(b, "gochannel") })
	b.Run("store=none", benchWithoutStore)
	b.Run("router", benchRouter)
}

const benchCallers = 256

func benchWhole(b *testing.B, kind string) {
	cfg := config.Default()
	cfg.Data.Dir, cfg.HTTP.Addr, cfg.Simulate.Rate, cfg.Bus.Kind = b.TempDir(), "127.0.0.1:0", 0, kind
	a, err := New(b.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := a.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	drive(b, a.decideHere)
}

// drive lets the callers share b.N applications.
func drive(b *testing.B, decide func(context.Context, schema.Record) error) {
	rows := records(1)
	var next atomic.Int64
	var callers sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range benchCallers {
		callers.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := decide(context.Background(), rows[n%int64(len(rows))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// nowhere is a store that keeps nothing: everything is new, every decision is written.
type nowhere struct{ incarnation atomic.Int64 }

func (*nowhere) Accept(_ context.Context, as []store.Application) ([]store.AcceptResult, error) {
	out := make([]store.AcceptResult, len(as))
	for i, a := range as {
		out[i] = store.AcceptResult{Status: store.New, Application: a}
	}
	return out, nil
}

func (*nowhere) AddFeedback(context.Context, []store.Feedback) ([]store.FeedbackResult, error) {
	return nil, nil
}

func (*nowhere) Decide(_ context.Context, ds []store.Decision) ([]store.DecideResult, error) {
	out := make([]store.DecideResult, len(ds))
	for i, d := range ds {
		out[i] = store.DecideResult{Status: store.Written, Decision: d}
	}
	return out, nil
}

func (*nowhere) Desired(context.Context) (store.State, error) {
	return store.State{Generations: store.Generations{Mode: store.ModeModel, ModeGeneration: 1, Champion: 1, ChampionGeneration: 1}}, nil
}

func (n *nowhere) NextIncarnation(context.Context, string, string) (int64, error) {
	return n.incarnation.Add(1), nil
}

type oneModel struct{ model *registry.Model }

func (o oneModel) Load(context.Context, int) (*registry.Model, error) { return o.model, nil }

func benchModel(b testing.TB) *registry.Model {
	b.Helper()
	fit, err := train.Fit(b.Context(), schema.Builtin(), dataset.Synthetic(10_000, 1), train.Options{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	return fit.Model
}

func benchWithoutStore(b *testing.B) {
	log, st, sch := slog.New(slog.DiscardHandler), &nowhere{}, schema.Builtin()
	transport := bus.NewMemory(bus.MemoryOptions{})
	defer func() { _ = transport.Close() }()
	view, err := desired.New(b.Context(), st, log)
	if err != nil {
		b.Fatal(err)
	}
	window := ingestion.NewWindow(10_000)
	tel := newTelemetry(newHub(), newObjective(nil, window))
	in := ingestion.New(ingestion.Options{
		Schema: sch, Store: st, Publisher: transport, Window: window, Counter: tel, Now: now, Log: log, SweepAfter: time.Minute,
	})
	defer func() { _ = in.Close() }()
	sup, err := agents.New(agents.Options{Transport: in.Transport(transport), Incarnations: st, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	champion := model.NewChampion(oneModel{benchModel(b)}, view, log)
	champion.Follow(b.Context())
	for _, spec := range []agents.Spec{
		in.Spec(), feature.Spec(feature.Options{Schema: sch}), model.Spec(model.Options{Schema: sch, Champion: champion, View: view}),
		decision.Spec(decision.Options{Schema: sch, Store: st, View: view, Now: now, Log: log, Observe: tel.decided}),
	} {
		if err := sup.Add(spec); err != nil {
			b.Fatal(err)
		}
	}
	box, err := transport.Mailbox(bus.MailboxOptions{Topic: event.Decisions})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var listener sync.WaitGroup
	listener.Go(func() { ingestion.Listen(ctx, box, window, log) })
	if err := sup.Start(ctx); err != nil {
		b.Fatal(err)
	}
	drive(b, (&App{parts: parts{Intake: in}}).decideHere)
	if err := sup.Stop(context.Background()); err != nil {
		b.Error(err)
	}
	cancel()
	listener.Wait()
}

// benchRouter is the baseline: four handlers on Watermill's Router over its GoChannel, JSON between them, the same
// validation, model and policy, no store.
func benchRouter(b *testing.B) {
	ch := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	sch, m := schema.Builtin(), benchModel(b)
	var waiting sync.Map
	stage := func(name, from, to string, f func([]byte) (any, error)) {
		router.AddHandler(name, from, ch, to, ch, func(in *message.Message) ([]*message.Message, error) {
			out, err := f(in.Payload)
			if err != nil {
				return nil, err
			}
			payload, err := json.Marshal(out)
			return []*message.Message{message.NewMessage(watermill.NewUUID(), payload)}, err
		})
	}
	stage("ingestion", "in", "raw", func(p []byte) (any, error) {
		var e event.RawEvent
		return &e, json.Unmarshal(p, &e)
	})
	stage("feature", "raw", "features", func(p []byte) (any, error) {
		var e event.RawEvent
		if err := json.Unmarshal(p, &e); err != nil {
			return nil, err
		}
		values, err := sch.Encode(e.Features)
		return &event.Features{Subject: e.Subject, Values: values, Vector: sch.Vector(values)}, err
	})
	stage("model", "features", "predictions", func(p []byte) (any, error) {
		var e event.Features
		err := json.Unmarshal(p, &e)
		return &event.Prediction{Features: e, Probability: m.Score(e.Vector)}, err
	})
	router.AddConsumerHandler("decision", "predictions", ch, func(in *message.Message) error {
		var e event.Prediction
		if err := json.Unmarshal(in.Payload, &e); err != nil {
			return err
		}
		_ = sch.Decide(e.Probability)
		if c, ok := waiting.LoadAndDelete(e.ID); ok {
			close(c.(chan struct{}))
		}
		return nil
	})
	go func() { _ = router.Run(context.Background()) }()
	<-router.Running()
	drive(b, func(_ context.Context, r schema.Record) error {
		e := &event.RawEvent{Subject: event.Subject{ID: watermill.NewUUID(), AcceptedAt: now()}, Features: r}
		payload, err := json.Marshal(e)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		waiting.Store(e.ID, done)
		if err := ch.Publish("in", message.NewMessage(e.ID, payload)); err != nil {
			return err
		}
		<-done
		return nil
	})
	if err := router.Close(); err != nil {
		b.Error(err)
	}
}
