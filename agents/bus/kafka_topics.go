package bus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"aura/agents/event"
)

// KafkaTopics says how topics that don't exist yet are made.
type KafkaTopics struct {
	// Partitions of the topics that applications pass; Replicas of each partition, 0 for the broker's default.
	Partitions, Replicas int
}

const day = 24 * time.Hour

// kafkaTopics are all topics but the dead letters', in the order of an application's way: how long the broker keeps their
// messages, and in how many partitions (0: as many as are configured).
var kafkaTopics = []struct {
	topic      event.Topic
	kept       time.Duration
	partitions int
	compacted  bool
}{
	{topic: event.Applications, kept: 7 * day},
	{topic: event.Outcomes, kept: 7 * day},
	{topic: event.RawEvents, kept: day},
	{topic: event.FeaturesTopic, kept: day},
	{topic: event.Predictions, kept: day},
	{topic: event.Decisions, kept: 7 * day},
	{topic: event.FeedbackTopic, kept: 7 * day, partitions: 3},
	{topic: event.Metrics, kept: time.Hour, partitions: 3},
	{topic: event.Alerts, kept: 30 * day, partitions: 3},
	{topic: event.PolicyRequests, kept: 30 * day, partitions: 3},
	{topic: event.PolicyDecisions, kept: 30 * day, partitions: 3},
	{topic: event.ConfigUpdates, partitions: 1, compacted: true},
	{topic: event.IncidentLog, kept: 30 * day, partitions: 3},
}

// deadKept is how long dead letters are kept, all of a topic in one partition.
const deadKept = 30 * day

// details returns what the broker is asked for, by the topics' names there.
func (t KafkaTopics) details(prefix string) map[string]*sarama.TopicDetail {
	replicas := int16(-1)
	if t.Replicas > 0 {
		replicas = int16(t.Replicas)
	}
	keep := func(kept time.Duration) map[string]*string {
		ms := strconv.FormatInt(kept.Milliseconds(), 10)
		return map[string]*string{"retention.ms": &ms}
	}
	out := map[string]*sarama.TopicDetail{}
	for _, k := range kafkaTopics {
		d := &sarama.TopicDetail{NumPartitions: int32(k.partitions), ReplicationFactor: replicas, ConfigEntries: keep(k.kept)}
		if k.partitions == 0 {
			d.NumPartitions = int32(t.Partitions)
		}
		if k.compacted {
			compact := "compact"
			d.ConfigEntries = map[string]*string{"cleanup.policy": &compact}
		}
		out[prefix+string(k.topic)] = d
		out[prefix+string(k.topic.DLQ())] = &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: replicas, ConfigEntries: keep(deadKept)}
	}
	return out
}

// EnsureTopics creates the topics that the brokers don't have and returns their names there. One that exists stays as it is.
func EnsureTopics(o KafkaOptions, t KafkaTopics) (created []string, err error) {
	config, err := o.sarama()
	if err != nil {
		return nil, err
	}
	config.Metadata.Full = true // which topics there are is what is asked
	admin, err := sarama.NewClusterAdmin(o.Brokers, config)
	if err != nil {
		return nil, fmt.Errorf("bus: no Kafka broker to be had at %s: %w", strings.Join(o.Brokers, ", "), err)
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	existing, err := admin.ListTopics()
	if err != nil {
		return nil, fmt.Errorf("bus: list Kafka's topics: %w", err)
	}
	missing := t.details(o.Prefix)
	for name := range existing {
		delete(missing, name)
	}
	return create(admin, missing)
}

// RemoveTopics deletes the topics and groups of a prefix, which must not be empty: those of an instance that is thrown away.
func RemoveTopics(o KafkaOptions) (err error) {
	if o.Prefix == "" {
		return errors.New("bus: the topics of no prefix are not removed")
	}
	config, err := o.sarama()
	if err != nil {
		return err
	}
	config.Metadata.Full = true
	admin, err := sarama.NewClusterAdmin(o.Brokers, config)
	if err != nil {
		return fmt.Errorf("bus: no Kafka broker to be had at %s: %w", strings.Join(o.Brokers, ", "), err)
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return fmt.Errorf("bus: list Kafka's groups: %w", err)
	}
	var errs []error
	for name := range groups {
		if !strings.HasPrefix(name, o.Prefix) {
			continue
		}
		// One that is not empty has members that died; it goes with the last of its offsets, as its topics do.
		if err := admin.DeleteConsumerGroup(name); !errors.Is(err, sarama.ErrNonEmptyGroup) {
			errs = append(errs, err)
		}
	}
	topics, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("bus: list Kafka's topics: %w", err)
	}
	for name := range topics {
		if strings.HasPrefix(name, o.Prefix) {
			errs = append(errs, admin.DeleteTopic(name))
		}
	}
	return errors.Join(errs...)
}

// create asks for all topics at once. What somebody else has created meanwhile is there as well.
func create(admin sarama.ClusterAdmin, missing map[string]*sarama.TopicDetail) (created []string, err error) {
	if len(missing) == 0 {
		return nil, nil
	}
	controller, err := admin.Controller()
	if err != nil {
		return nil, fmt.Errorf("bus: Kafka's controller: %w", err)
	}
	answer, err := controller.CreateTopics(sarama.NewCreateTopicsRequest(kafkaVersion, missing, createWithin, false))
	if err != nil {
		return nil, fmt.Errorf("bus: create Kafka's topics: %w", err)
	}
	var errs []error
	for name, failed := range answer.TopicErrors {
		switch {
		case errors.Is(failed.Err, sarama.ErrNoError):
			created = append(created, name)
		case !errors.Is(failed.Err, sarama.ErrTopicAlreadyExists):
			errs = append(errs, fmt.Errorf("bus: create topic %s: %w", name, failed))
		}
	}
	slices.Sort(created)
	return created, errors.Join(errs...)
}

// createWithin is what the brokers may take for it.
const createWithin = 10 * time.Second
