package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

// KafkaCondition is what a look from outside says of the brokers and our topics there. Topics are named as they are there.
type KafkaCondition struct {
	Brokers, Topics int
	// Missing topics are made by the next start or by `aura migrate`.
	Missing []string
	// Leaderless topics have a partition that nobody serves now: what belongs there waits.
	Leaderless []string
	// Unlike is how many partitions a topic has where it was to have others: an application's place follows from the number.
	Unlike map[string]int
}

// LookAtKafka asks the brokers; it changes nothing.
func LookAtKafka(o KafkaOptions, t KafkaTopics) (c KafkaCondition, err error) {
	config, err := o.sarama()
	if err != nil {
		return c, err
	}
	config.Metadata.Full = true // an administrator's first question is for all topics
	admin, err := sarama.NewClusterAdmin(o.Brokers, config)
	if err != nil {
		return c, fmt.Errorf("bus: no Kafka broker to be had at %s: %w", strings.Join(o.Brokers, ", "), err)
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return c, fmt.Errorf("bus: ask for Kafka's brokers: %w", err)
	}
	want := t.details(o.Prefix)
	found, err := admin.DescribeTopics(slices.Sorted(maps.Keys(want)))
	if err != nil {
		return c, fmt.Errorf("bus: ask for Kafka's topics: %w", err)
	}
	c.Brokers, c.Unlike = len(brokers), map[string]int{}
	for _, m := range found {
		switch {
		case errors.Is(m.Err, sarama.ErrUnknownTopicOrPartition):
			c.Missing = append(c.Missing, m.Name)
			continue
		case m.Err != sarama.ErrNoError && !errors.Is(m.Err, sarama.ErrLeaderNotAvailable):
			return c, fmt.Errorf("bus: topic %s: %w", m.Name, m.Err)
		}
		c.Topics++
		if slices.ContainsFunc(m.Partitions, func(p *sarama.PartitionMetadata) bool { return p.Leader < 0 }) {
			c.Leaderless = append(c.Leaderless, m.Name)
		}
		if n := len(m.Partitions); n != int(want[m.Name].NumPartitions) {
			c.Unlike[m.Name] = n
		}
	}
	return c, nil
}
