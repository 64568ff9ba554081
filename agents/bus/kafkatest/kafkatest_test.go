//go:build linux

package kafkatest_test

import (
	"strings"
	"testing"

	"aura/agents/bus/kafkatest"
)

// TestBroker: what a producer was told is there after a kill -9 and a restart, on the same address.
func TestBroker(t *testing.T) {
	b := kafkatest.Start(t)
	b.Tool(t, "", kafkatest.Topics, "--create", "--topic", "t", "--partitions", "3")
	b.Tool(t, "1:one\n2:two\n", kafkatest.ConsoleProducer, "--topic", "t", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
	addr := b.Addr()
	b.Kill(t)
	b.Restart(t)
	out := b.Tool(t, "", kafkatest.ConsoleConsumer, "--topic", "t", "--from-beginning", "--max-messages", "2")
	if b.Addr() != addr || !strings.Contains(out, "one") || !strings.Contains(out, "two") {
		t.Errorf("at %s after %s: %q", b.Addr(), addr, out)
	}
	b.Stop(t)
	b.Restart(t)
	if out := b.Tool(t, "", kafkatest.Topics, "--list"); !strings.Contains(out, "t") {
		t.Errorf("topics %q", out)
	}
}

// TestSecuredBroker: with the right papers one is let in. That others are not, the transport's tests show.
func TestSecuredBroker(t *testing.T) {
	b := kafkatest.Start(t, kafkatest.Secured("SCRAM-SHA-512"))
	b.Tool(t, "", kafkatest.Topics, "--create", "--topic", "t")
	if out := b.Tool(t, "", kafkatest.Topics, "--list"); strings.TrimSpace(out) != "t" {
		t.Errorf("topics %q", out)
	}
}
