package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKafka: what can't be is refused by its key, with a remedy and without the password; where Kafka isn't the bus nothing of
// it is looked at.
func TestKafka(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "kafka.sasl.user=u kafka.sasl.password=geheim "
	for _, c := range []struct{ set, key, wrong string }{
		{"", "", ""},
		{"kafka.brokers=a:1,b:2", "", ""},
		{"kafka.brokers=", "kafka.brokers", "at least one broker"},
		{"kafka.brokers=a", "kafka.brokers", "write host:port"},
		{"kafka.brokers=a:0", "kafka.brokers", "write host:port"},
		{"kafka.brokers=:9092", "kafka.brokers", "write host:port"},
		{"kafka.brokers=a:1,a:1", "kafka.brokers", "stands there twice"},
		{"kafka.prefix=x/y", "kafka.prefix", "letters, digits"},
		{"kafka.partitions=0", "kafka.partitions", "at least 1"},
		{"kafka.sasl.mechanism=GSSAPI", "kafka.sasl.mechanism", "take one of none, SCRAM"},
		{"kafka.sasl.mechanism=SCRAM-SHA-256", "kafka.sasl.user", "name the user"},
		{"kafka.sasl.mechanism=SCRAM-SHA-256 kafka.sasl.user=u", "kafka.sasl.password", "AURA_KAFKA_SASL_PASSWORD"},
		{name, "kafka.sasl.mechanism", "or leave the user empty"},
		{name + "kafka.sasl.mechanism=SCRAM-SHA-512", "", ""},
		{name + "kafka.sasl.mechanism=PLAIN", "", ""},
		{name + "kafka.sasl.mechanism=PLAIN kafka.brokers=k.example:9092", "kafka.sasl.mechanism", "clear text"},
		{name + "kafka.sasl.mechanism=PLAIN kafka.brokers=k.example:9092 kafka.tls.enabled=true", "", ""},
		{"kafka.tls.ca=" + pem, "kafka.tls.ca", "set kafka.tls.enabled"},
		{"kafka.tls.enabled=true kafka.tls.ca=" + pem, "", ""},
		{"kafka.tls.enabled=true kafka.tls.ca=" + pem + ".not", "kafka.tls.ca", "readable PEM file"},
		{"kafka.tls.enabled=true kafka.tls.certificate=" + pem, "kafka.tls.certificate", "go together"},
	} {
		var flags []Flag
		for _, set := range strings.Fields(c.set) {
			key, value, _ := strings.Cut(set, "=")
			flags = append(flags, Flag{"--set", key, value})
		}
		_, err := loadText(t, "bus: {kind: kafka}", nil, flags...)
		switch {
		case c.key == "" && err != nil:
			t.Errorf("%s: %v", c.set, err)
		case c.key != "" && (err == nil || !strings.Contains(err.Error(), c.key+" =") || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want %s and %q", c.set, err, c.key, c.wrong)
		case err != nil && strings.Contains(err.Error(), "geheim"):
			t.Errorf("%s: the password is in %v", c.set, err)
		}
	}
	if _, err := loadText(t, "kafka: {brokers: [], tls: {ca: /nowhere}}", nil); err != nil {
		t.Errorf("on another bus: %v", err)
	}
	l, err := loadText(t, "", []string{"AURA_BUS_KIND=kafka", "AURA_BROKERS=a:1,b:2", "AURA_KAFKA_PREFIX=s-"})
	if err != nil || len(l.Config.Kafka.Brokers) != 2 || l.Config.Kafka.Prefix != "s-" {
		t.Errorf("from the environment: %+v, %v", l.Config.Kafka, err)
	}
}
