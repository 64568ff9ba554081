package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"aura/agents/bus"
	"aura/agents/ingestion"
	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/schema"
	"aura/store"
)

const kafkaBus = "kafka"

// kafkaOptions are the transport's, without this process' name.
func kafkaOptions(cfg config.Config, log *slog.Logger) bus.KafkaOptions {
	k := cfg.Kafka
	o := bus.KafkaOptions{
		Brokers: k.Brokers, Prefix: k.Prefix, Capacity: cfg.Bus.LaneCapacity, Logger: log,
		Security: bus.KafkaSecurity{TLS: k.TLS.Enabled, CA: k.TLS.CA, Certificate: k.TLS.Certificate, Key: k.TLS.Key},
	}
	if k.SASL.Mechanism != "none" {
		o.Security.Mechanism, o.Security.User, o.Security.Password = k.SASL.Mechanism, k.SASL.User, k.SASL.Password
	}
	return o
}

// newKafka makes the topics that are missing and connects.
func newKafka(cfg config.Config, name instance, log *slog.Logger) (*bus.Kafka, error) {
	o := kafkaOptions(cfg, log)
	created, err := bus.EnsureTopics(o, bus.KafkaTopics{Partitions: cfg.Kafka.Partitions, Replicas: cfg.Kafka.Replicas})
	if err != nil {
		return nil, fmt.Errorf("the bus that kafka.brokers (--brokers) names: %w", err)
	}
	if len(created) > 0 {
		log.Info("topics created", "n", len(created), "partitions", cfg.Kafka.Partitions)
	}
	o.Member = string(name)
	k, err := bus.NewKafka(o)
	if err != nil {
		return nil, fmt.Errorf("the bus that kafka.brokers (--brokers) names: %w", err)
	}
	return k, nil
}

// topicsAtOnce bounds how many messages of a topic are taken in together; few beside the window, so that several lanes have room.
func topicsAtOnce(cfg config.Config) int { return min(max(cfg.Admission.Window/16, 1), 256) }

// newTopics returns nil where the bus has no topics for other programs to write to, or they are not to be read here.
func newTopics(cfg config.Config, sch *schema.Schema, st *store.Store, in *ingestion.Intake, t bus.Transport, tel *telemetry, now clock, log *slog.Logger) (*ingestion.Topics, error) {
	if cfg.Bus.Kind != kafkaBus || !cfg.Kafka.Intake || !selected(cfg, ingestion.Name) {
		return nil, nil
	}
	return ingestion.NewTopics(ingestion.TopicsOptions{
		Intake: in, Parse: sch.ParseRecord, Known: st.Known, Transport: t, Counter: tel, Limit: topicsAtOnce(cfg), Now: now,
		Log: log.With("component", "topics"),
	})
}

func randomName() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // it never fails
	return hex.EncodeToString(random)
}

// Migrate is the body of `aura migrate`.
func Migrate(ctx context.Context, loaded config.Loaded, streams cli.Streams) (err error) {
	cfg := loaded.Config
	log := newLog(cfg, streams.Err)
	if cfg.Bus.Kind == kafkaBus {
		created, err := bus.EnsureTopics(kafkaOptions(cfg, log), bus.KafkaTopics{Partitions: cfg.Kafka.Partitions, Replicas: cfg.Kafka.Replicas})
		if err != nil {
			return fmt.Errorf("the bus that kafka.brokers (--brokers) names: %w", err)
		}
		for _, name := range created {
			fmt.Fprintln(streams.Out, "topic created:", name)
		}
		fmt.Fprintf(streams.Out, "topics: %d created\n", len(created))
	}
	opened := &closers{}
	if _, err := openStore(ctx, cfg, storeOptions(cfg, log), opened); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.close(context.WithoutCancel(ctx))) }()
	fmt.Fprintln(streams.Out, "database: up to date")
	return nil
}
