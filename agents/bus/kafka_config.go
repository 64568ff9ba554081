package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// KafkaSecurity is how the broker is talked to. The zero value is plain text without a name.
type KafkaSecurity struct {
	// Mechanism is SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN; empty for none. User and Password go with it.
	Mechanism, User, Password string
	// TLS encrypts; CA, if not empty, is a file of the authorities to trust in place of the system's.
	TLS bool
	CA  string
	// Certificate and Key are files with which the broker can know this client.
	Certificate, Key string
}

// kafkaVersion is the protocol that is spoken; brokers from 2.8 on understand it.
var kafkaVersion = sarama.V2_8_0_0

// answerWithin is how long an answer of a broker may take. A connection that says nothing any more and doesn't end either, as
// behind a firewall that has forgotten it, is given up by nothing else; all of them have the same time, so that they come back
// together: who hears his own beat while his groups are still deaf would blame the agents.
const answerWithin = 10 * time.Second

// sarama is the configuration of every client of this transport.
func (o KafkaOptions) sarama() (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.Version = kafkaVersion
	c.ClientID = "aura"
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = 5*time.Second, answerWithin, answerWithin
	c.Net.MaxOpenRequests = 1 // what the idempotent producer asks for
	c.Metadata.Full = false   // of our topics only
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 3, 100*time.Millisecond

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Retry.Max = 10 // who publishes tries again after that
	c.Producer.Retry.Backoff = 100 * time.Millisecond
	c.Producer.Transaction.Retry.Max = 3 // of a new producer's first question; who renews it asks again, unless it is to end
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true

	c.Consumer.Return.Errors = false
	c.Consumer.MaxWaitTime = 250 * time.Millisecond // of a fetch that finds nothing, and so of the end of a reader
	c.Consumer.Retry.Backoff = 250 * time.Millisecond
	c.Consumer.Offsets.Initial = sarama.OffsetOldest // what was published before the group existed is for it, too
	c.Consumer.Offsets.AutoCommit.Interval = time.Second
	// A member that died is missed after the session; the others wait for one that hangs as long as the rebalance may take,
	// which must stay below the time of a read (sarama #2820).
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond // by which a member learns that partitions are shared out anew; all wait for the last
	c.Consumer.Group.Rebalance.Timeout = answerWithin - 2*time.Second
	c.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond // 2 s is Sarama's
	return c, o.Security.apply(c)
}

// knock tells soon whether a broker answers and lets this client in; a producer would try for longer.
func (o KafkaOptions) knock(config *sarama.Config) error {
	c := *config
	c.Metadata.Full = true // a client that wants to know nothing asks nobody
	client, err := sarama.NewClient(o.Brokers, &c)
	if err != nil {
		return fmt.Errorf("bus: no Kafka broker to be had at %s: %w", strings.Join(o.Brokers, ", "), err)
	}
	return client.Close()
}

func (s KafkaSecurity) apply(c *sarama.Config) error {
	if s.Mechanism != "" {
		c.Net.SASL.Enable, c.Net.SASL.Handshake, c.Net.SASL.Version = true, true, sarama.SASLHandshakeV1
		c.Net.SASL.Mechanism = sarama.SASLMechanism(s.Mechanism)
		c.Net.SASL.User, c.Net.SASL.Password = s.User, s.Password
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
			if s.Mechanism == sarama.SASLTypeSCRAMSHA256 {
				return &scramClient{hash: scram.SHA256}
			}
			return &scramClient{hash: scram.SHA512}
		}
	}
	if !s.TLS {
		return nil
	}
	c.Net.TLS.Enable = true
	c.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return fmt.Errorf("bus: the authorities of Kafka's brokers: %w", err)
		}
		c.Net.TLS.Config.RootCAs = x509.NewCertPool()
		if !c.Net.TLS.Config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("bus: %s holds no certificate in PEM form", s.CA)
		}
	}
	if s.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
		if err != nil {
			return fmt.Errorf("bus: the certificate for Kafka's brokers: %w", err)
		}
		c.Net.TLS.Config.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// scramClient is one conversation of SASL/SCRAM.
type scramClient struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

var errNoConversation = errors.New("bus: SCRAM has not begun")

func (c *scramClient) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.conversation = client.NewConversation()
	return nil
}

func (c *scramClient) Step(challenge string) (string, error) {
	if c.conversation == nil {
		return "", errNoConversation
	}
	return c.conversation.Step(challenge)
}

func (c *scramClient) Done() bool { return c.conversation != nil && c.conversation.Done() }
