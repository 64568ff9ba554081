package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"sync"

	"aura/agents/fault"
	"aura/agents/ingestion"
	agentsource "aura/agents/source"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/schema"
	"aura/mlops/synth"
)

// Where applications come from, beside sourceHTTP.
const (
	sourceSimulator = "simulator"
	sourceCSV       = "csv"
	sourceKafka     = ingestion.SourceKafka
)

// userData is the file that the user named: one part trains the first model, the other is streamed. It is nil without one.
type userData struct{ train, live []dataset.Row }

func loadUserData(ctx context.Context, cfg config.Config, s *schema.Schema) (*userData, error) {
	if cfg.Source.File == "" {
		return nil, nil
	}
	order := dataset.Shuffle
	if cfg.Source.Order == "file" {
		order = dataset.File
	}
	set, err := dataset.Load(ctx, cfg.Source.File, s, dataset.Options{Order: order, Seed: cfg.Seed})
	if err != nil {
		return nil, refuse("source.file: %v", err)
	}
	train, live := dataset.Split(set.Rows, cfg.Source.TrainShare)
	return &userData{train, live}, nil
}

// source is where applications come from when nobody posts them: the user's file, the simulator, or nowhere.
type source struct {
	stream *agentsource.Stream // nil for nowhere
	what   string
	log    *slog.Logger
}

func newSource(cfg config.Config, data *userData, s *schema.Schema, in *ingestion.Intake, f *fault.Registry, log *slog.Logger) *source {
	stream := &agentsource.Stream{Intake: sourceIntake{in, log}, Log: log, Tamper: f}
	src := &source{stream: stream, log: log}
	switch {
	case !selected(cfg, ingestion.Name):
		src.stream, src.what = nil, "none (the ingestion agent runs elsewhere)"
	case data != nil:
		stream.Name, stream.Rate, stream.OutcomeDelay = sourceCSV, cfg.Source.Rate, cfg.Source.OutcomeDelay
		stream.Next = agentsource.Tampered(rowsOf(data.live, s), f)
		src.what = fmt.Sprintf("%d rows of %s at %s", len(data.live), filepath.Base(cfg.Source.File), rate(cfg.Source.Rate))
	case simulates(cfg):
		stream.Name, stream.Rate, stream.OutcomeDelay = sourceSimulator, cfg.Simulate.Rate, cfg.Simulate.OutcomeDelay
		stream.Next = agentsource.Simulator(synth.New(simulatorSeed(cfg.Seed)), f)
		src.what = "simulator at " + rate(cfg.Simulate.Rate)
	case cfg.Simulate.Rate > 0:
		src.stream, src.what = nil, "none (the simulator knows the built-in schema only; name a file with --source)"
	default:
		src.stream, src.what = nil, "none"
	}
	return src
}

func (s *source) describe() string { return s.what }

// run streams until the source is exhausted or ctx ends.
func (s *source) run(ctx context.Context) {
	if s.stream == nil {
		return
	}
	switch err := s.stream.Run(ctx); {
	case err == nil:
		s.log.Info("the source is exhausted: every application was sent and every outcome reported", "source", s.stream.Name)
	case ctx.Err() == nil:
		s.log.Error("the source ended", "source", s.stream.Name, "err", err)
	}
}

func rate(perSecond float64) string {
	if perSecond == 0 {
		return "full speed"
	}
	return fmt.Sprintf("%g applications/s", perSecond)
}

// simulatorSeed draws other applications than those that the first model was trained on.
func simulatorSeed(seed uint64) uint64 { return seed ^ 0x5ca1ab1e }

// simulates reports whether the simulator runs where there is no file: it knows the built-in schema only.
func simulates(cfg config.Config) bool { return cfg.Simulate.Rate > 0 && cfg.Schema.File == "" }

// simulatorSample is how many applications the simulator's means are taken from.
const simulatorSample = 20_000

// sourceData describes to fault injection what the source sends; nil where there is no source.
func sourceData(cfg config.Config, data *userData, s *schema.Schema) *fault.Data {
	rows := func() []dataset.Row { return dataset.Synthetic(simulatorSample, simulatorSeed(cfg.Seed)) }
	switch {
	case data != nil:
		rows = func() []dataset.Row { return data.live }
	case !simulates(cfg):
		return nil
	}
	means := sync.OnceValue(func() []float64 { return meansOf(rows(), len(s.Features)) })
	return &fault.Data{Schema: s, Mean: func(feature string) float64 {
		if i := s.Index(feature); i >= 0 {
			return means()[i]
		}
		return math.NaN()
	}}
}

// meansOf returns the mean of each column, NaN for one without values.
func meansOf(rows []dataset.Row, columns int) []float64 {
	means := make([]float64, columns)
	for i := range means {
		n := 0.0
		for _, row := range rows {
			if v := row.Values[i]; !math.IsNaN(v) {
				n++
				means[i] += (v - means[i]) / n
			}
		}
		if n == 0 {
			means[i] = math.NaN()
		}
	}
	return means
}

// rowsOf yields a file's rows. Their ids make a second run of the same file harmless: they are known then.
func rowsOf(rows []dataset.Row, s *schema.Schema) func() (agentsource.Application, error) {
	next := 0
	return func() (agentsource.Application, error) {
		if next == len(rows) {
			return agentsource.Application{}, io.EOF
		}
		row := rows[next]
		record, err := s.Record(row.Values)
		if err != nil {
			return agentsource.Application{}, fmt.Errorf("line %d: %w", row.Line, err)
		}
		next++
		id := row.ID
		if id == "" {
			id = fmt.Sprintf("line-%d", row.Line)
		}
		return agentsource.Application{ID: id, Record: record, Defaulted: row.Bad}, nil
	}
}

// sourceIntake is the intake as sources know it.
type sourceIntake struct {
	intake *ingestion.Intake
	log    *slog.Logger
}

// Submit implements agentsource.Intake.
func (s sourceIntake) Submit(ctx context.Context, name string, applications []agentsource.Application) ([]string, error) {
	in := make([]ingestion.Application, len(applications))
	for i, a := range applications {
		in[i] = ingestion.Application{ApplicationID: a.ID, Record: a.Record, Source: name}
	}
	receipts, err := s.intake.Submit(ctx, true, false, in...)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(receipts))
	for i, r := range receipts {
		if r.Status == ingestion.Conflict {
			s.log.Warn("an application of the source has the id of another one and was left out", "source", name)
			continue
		}
		ids[i] = r.Subject.ApplicationID
	}
	return ids, nil
}

// Feedback implements agentsource.Intake.
func (s sourceIntake) Feedback(ctx context.Context, outcomes []agentsource.Outcome) error {
	at := now()
	in := make([]ingestion.Outcome, len(outcomes))
	for i, o := range outcomes {
		in[i] = ingestion.Outcome{ApplicationID: o.ID, Outcome: o.Outcome, ObservedAt: at}
	}
	_, err := s.intake.Feedback(ctx, in...)
	return err
}
