//go:build linux

package json

import (
	"bytes"
	stdlib "encoding/json"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	second "github.com/go-json-experiment/json"
	first "github.com/go-json-experiment/json/v1"
	goccy "github.com/goccy/go-json"
	segmentio "github.com/segmentio/encoding/json"

	"aura/agents/event"
	"aura/mlops/schema"
)

type codec struct {
	name  string
	write func(event.Event) ([]byte, error)
	read  func([]byte, event.Event) error
}

func library(name string, write func(any) ([]byte, error), read func([]byte, any) error) codec {
	return codec{name, func(e event.Event) ([]byte, error) { return write(e) }, func(raw []byte, e event.Event) error { return read(raw, e) }}
}

var codecs = []codec{
	library("encoding", stdlib.Marshal, stdlib.Unmarshal),
	{"aura", event.Marshal, event.Unmarshal},
	library("v2", func(v any) ([]byte, error) { return second.Marshal(v, first.OmitEmptyWithLegacySemantics(true)) },
		func(raw []byte, v any) error { return second.Unmarshal(raw, v) }),
	library("v2-as-v1", func(v any) ([]byte, error) { return first.Marshal(v) }, func(raw []byte, v any) error { return first.Unmarshal(raw, v) }),
	library("sonic", sonic.ConfigStd.Marshal, sonic.ConfigStd.Unmarshal),
	library("goccy", goccy.Marshal, goccy.Unmarshal),
	library("segmentio", segmentio.Marshal, segmentio.Unmarshal),
}

// events are one application's, as the pipeline publishes them.
func events() []event.Event {
	accepted := time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)
	subject := event.Subject{
		ID: "0195511f-5e7b-7abc-8def-0123456789ab", ApplicationID: "0195511f-5e7b-7abc-8def-0123456789ab", AcceptedAt: accepted,
		Source: "http", TraceID: "0af7651916cd43dd8448eb211c80319c",
	}
	const digest = "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015"
	why := []schema.Reason{
		{Code: "R02", Feature: "debt_ratio", Text: "Debt is high in proportion to income", Contribution: 0.12518463},
		{Code: "R01", Feature: "credit_score", Text: "The credit score is low", Contribution: 0.0734281},
	}
	vectorised := event.Features{
		Subject: subject, Values: schema.Vector{612, 0.4731, math.NaN(), 18250.31, 3},
		Vector: schema.Vector{612, 0.4731000065803528, math.NaN(), 9.811995983123779, 3},
	}
	probability := 0.3817462
	return []event.Event{
		&event.RawEvent{Subject: subject, Features: schema.Record{
			Names:  []string{"credit_score", "debt_ratio", "income", "loan_amount", "employment_years"},
			Values: []schema.Value{schema.Number(612), schema.Number(0.4731), schema.Missing(), schema.Number(18250.31), schema.Number(3)},
		}},
		&vectorised,
		&event.Prediction{Features: vectorised, Probability: probability, Reasons: why, ModelVersion: 3, ModelDigest: digest, Generation: 8},
		&event.Decision{
			Subject: subject, Decision: schema.Refer, Probability: &probability, Reasons: why, ModelVersion: 3, ModelDigest: digest, Generation: 8,
			Mode: event.ModeModel, ModeGeneration: 1, DecidedAt: accepted.Add(time.Millisecond), LatencyMS: 1.254631, Incarnation: 5,
		},
	}
}

// TestSame: on these events all write the same bytes and read the same values; only then a comparison of speed is one.
func TestSame(t *testing.T) {
	for _, c := range codecs {
		for _, e := range events() {
			want, err := stdlib.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.write(e); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s writes (%v)\n%s\nwant\n%s", c.name, err, got, want)
			}
			back := event.New(e.Topic())
			if err := c.read(want, back); err != nil {
				t.Errorf("%s reads %s: %v", c.name, e.Topic(), err)
			}
			if again, err := stdlib.Marshal(back); err != nil || !bytes.Equal(again, want) {
				t.Errorf("%s has read (%v)\n%s\nof\n%s", c.name, err, again, want)
			}
		}
	}
}

// BenchmarkChain is what the events of one application cost: four written and four read.
func BenchmarkChain(b *testing.B) {
	for _, c := range codecs {
		b.Run(c.name, func(b *testing.B) {
			path := events()
			b.ReportAllocs()
			begun := cpu()
			for b.Loop() {
				for _, e := range path {
					raw, err := c.write(e)
					if err != nil {
						b.Fatal(err)
					}
					if err := c.read(raw, event.New(e.Topic())); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(cpu()-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the processor time of this process so far, in ns.
func cpu() int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
