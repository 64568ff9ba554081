package config

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
)

// Kafka is the brokers of bus.kind = kafka: where they are, what is called how there, how they are talked to.
type Kafka struct {
	Brokers []string `key:"brokers" env:"AURA_BROKERS"`
	Prefix  string   `key:"prefix"`
	// Partitions of the topics that applications pass, and Replicas (0: the brokers' default), where a topic is created.
	Partitions int       `key:"partitions" min:"1" max:"1024"`
	Replicas   int       `key:"replicas" min:"0" max:"100"`
	Intake     bool      `key:"intake"`
	SASL       KafkaSASL `key:"sasl"`
	TLS        KafkaTLS  `key:"tls"`
}

// KafkaSASL is how this client says who it is.
type KafkaSASL struct {
	Mechanism string `key:"mechanism" enum:"none,SCRAM-SHA-256,SCRAM-SHA-512,PLAIN"`
	User      string `key:"user"`
	Password  string `key:"password" secret:"true"`
}

// KafkaTLS is how the connection is encrypted.
type KafkaTLS struct {
	Enabled     bool   `key:"enabled"`
	CA          string `key:"ca"`
	Certificate string `key:"certificate"`
	Key         string `key:"key"`
}

// topicPrefix leaves room for the longest topic of ours in the 249 characters that a name may have.
var topicPrefix = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,200}$`)

// kafka tests the settings of the brokers where they are used.
func (b *builder) kafka() {
	k := b.Config.Kafka
	if b.Config.Bus.Kind != "kafka" {
		return
	}
	if len(k.Brokers) == 0 {
		b.wrong("kafka.brokers", "empty", "name at least one broker, such as 127.0.0.1:9092")
	}
	seen := map[string]bool{}
	for _, addr := range k.Brokers {
		host, port, err := net.SplitHostPort(addr)
		if n, notPort := strconv.ParseUint(port, 10, 16); err != nil || host == "" || notPort != nil || n == 0 {
			b.wrong("kafka.brokers", fmt.Sprintf("%q is no address", addr), "write host:port for each, such as 127.0.0.1:9092")
		} else if seen[addr] {
			b.wrong("kafka.brokers", addr+" stands there twice", "name each broker once")
		}
		seen[addr] = true
	}
	if !topicPrefix.MatchString(k.Prefix) {
		b.wrong("kafka.prefix", "not what a topic's name can begin with", "use up to 200 letters, digits, dots, dashes and underscores, such as staging-")
	}
	b.kafkaName(k)
	b.kafkaFiles(k.TLS)
}

// kafkaName tests who this client says it is.
func (b *builder) kafkaName(k Kafka) {
	named := k.SASL.Mechanism != "none"
	switch {
	case named && k.SASL.User == "":
		b.wrong("kafka.sasl.user", "empty, and kafka.sasl.mechanism is "+k.SASL.Mechanism, "name the user, or set the mechanism to none")
	case named && k.SASL.Password == "":
		b.wrong("kafka.sasl.password", "empty, and kafka.sasl.mechanism is "+k.SASL.Mechanism, "set AURA_KAFKA_SASL_PASSWORD, or set the mechanism to none")
	case !named && k.SASL.User != "":
		b.wrong("kafka.sasl.mechanism", "none, and kafka.sasl.user is set", "take SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN, or leave the user empty")
	case k.SASL.Mechanism == "PLAIN" && !k.TLS.Enabled && slices.ContainsFunc(k.Brokers, distant):
		b.wrong("kafka.sasl.mechanism", "PLAIN would send the password in clear text", "set kafka.tls.enabled, or take a SCRAM mechanism")
	}
}

func distant(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && !Loopback(host)
}

// kafkaFiles tests that what is named can be read and belongs together.
func (b *builder) kafkaFiles(t KafkaTLS) {
	for _, f := range []struct{ key, name string }{
		{"kafka.tls.ca", t.CA}, {"kafka.tls.certificate", t.Certificate}, {"kafka.tls.key", t.Key},
	} {
		if f.name == "" {
			continue
		}
		if !t.Enabled {
			b.wrong(f.key, "set, and kafka.tls.enabled is false", "set kafka.tls.enabled, or leave it empty")
		} else if _, err := os.ReadFile(f.name); err != nil {
			b.wrong(f.key, oneLine(err), "name a readable PEM file, or leave it empty")
		}
	}
	if (t.Certificate == "") != (t.Key == "") {
		b.wrong("kafka.tls.certificate", "kafka.tls.certificate and kafka.tls.key go together", "set both, or neither")
	}
}
