//go:build linux

// Package kafkatest runs a real Apache Kafka broker for tests: one node in KRaft mode, of the version that pom.xml pins, on
// loopback with free ports, in a data directory of its own. It owns the broker's process and directory and imports nothing
// of ours.
//
// Maven copies the jars into a cache directory once (AURA_TEST_KAFKA_DIR, else the user's cache). A broker is slow to have, so
// tests start one only when AURA_TEST_KAFKA=1 asks for it; else, and where Java or Maven is missing, Start skips the test
// with the reason. In an environment with CI=true what was asked for and can't be had fails the test.
//
// Ordering: Start and Restart return when the broker answers requests; Kill and Stop when its process is gone.
// Blocking: Start takes some 5 s, Restart 3 to 5 s, a console tool 2 s. All fail the test rather than return an error.
// The broker dies with the test's process, whatever ends it. Testing: TestBroker, and the suites that use it.
package kafkatest

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime bounds a start, with recovery, on a busy machine.
const startTime = 90 * time.Second

//go:embed pom.xml
var pom []byte

// Broker is a running Kafka.
type Broker struct {
	libs, dir string
	port      int
	controls  int // the controller's port
	security  *security
	outside   int      // the port of the listener for who comes through a proxy, 0 for none
	proxy     string   // the address that it advertises
	java      []string // flags of the virtual machine

	mu     sync.Mutex
	pid    int
	exited chan struct{}
}

// Option changes how a broker is started.
type Option func(*Broker)

// Quick gives the broker a heap and a compiler for measurements: it starts later and runs faster.
func Quick(b *Broker) { b.java = []string{"-Xmx1g", "-XX:+UseSerialGC"} }

// Behind gives the broker a second listener, without security, whose clients are sent back to a proxy's address: a client goes
// where a broker says that it is. The proxy must forward to Inner.
func Behind(proxy string) Option {
	return func(b *Broker) { b.proxy = proxy }
}

// Start makes an empty broker and starts it. It ends with the test.
func Start(t testing.TB, options ...Option) *Broker {
	t.Helper()
	b := &Broker{libs: Jars(t, pom), java: []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}}
	for _, o := range options {
		o(b)
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "aura-kafka-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Kill(t)
		if err := os.RemoveAll(b.dir); err != nil {
			t.Error(err)
		}
	})
	b.port, b.controls = freePort(t), freePort(t)
	if b.proxy != "" {
		b.outside = freePort(t)
	}
	b.write(t, "server.properties", b.properties(t))
	b.write(t, "log4j2.properties", logging)
	b.write(t, "tools.properties", b.security.client(b.dir))
	args := []string{"format", "-t", clusterID, "-c", b.path("server.properties")}
	b.pipe(t, "", "kafka.tools.StorageTool", append(args, b.security.users()...)...)
	b.Restart(t)
	return b
}

// Addr is the broker's host and port.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// Inner is where the proxy of Behind finds the broker.
func (b *Broker) Inner() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.outside)) }

func (b *Broker) path(name string) string { return filepath.Join(b.dir, name) }

func (b *Broker) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clusterID is any 16 bytes in base64: nobody else joins.
const clusterID = "QVVSQS1rYWZrYS10ZXN0cw"

const logging = `rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %c{1} %m%n
`

// properties is a single node's configuration. A short session lets a killed broker come back at once: the controller waits
// for its last life's session to end.
func (b *Broker) properties(t testing.TB) string {
	listener := fmt.Sprintf("CLIENT://%s", b.Addr())
	listeners, advertised, protocol, inter := listener, listener, "PLAINTEXT", "CLIENT"
	if b.security != nil {
		internal := fmt.Sprintf("INTERNAL://127.0.0.1:%d", freePort(t))
		listeners, advertised = listeners+","+internal, advertised+","+internal
		protocol, inter = "SASL_SSL", "INTERNAL"
	}
	if b.proxy != "" {
		listeners, advertised = listeners+",OUTSIDE://"+b.Inner(), advertised+",OUTSIDE://"+b.proxy
	}
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[1]d
listeners=%[2]s,CONTROLLER://127.0.0.1:%[1]d
advertised.listeners=%[3]s
controller.listener.names=CONTROLLER
inter.broker.listener.name=%[5]s
listener.security.protocol.map=CLIENT:%[4]s,INTERNAL:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[6]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
%[7]s`, b.controls, listeners, advertised, protocol, inter, b.path("data"), b.security.server(b.dir))
}

// Restart starts the broker (again) on the same port and waits until it answers.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	cmd := exec.Command("java", append(append([]string{}, b.java...),
		"-Dlog4j2.configurationFile="+b.path("log4j2.properties"), "-cp", b.libs+"/*", "kafka.Kafka", b.path("server.properties"))...)
	cmd.Dir = b.dir
	log, err := os.OpenFile(b.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error), make(chan struct{})
	go func() { // the signal comes when the thread that started the process ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // a killed broker's
		}
		_ = log.Close()
		close(exited)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.pid, b.exited = cmd.Process.Pid, exited
	b.mu.Unlock()
	b.ready(t, exited)
}

// ready waits until the broker takes requests.
func (b *Broker) ready(t testing.TB, exited <-chan struct{}) {
	t.Helper()
	deadline := time.After(startTime)
	for {
		err := b.ask()
		if err == nil {
			return
		}
		select {
		case <-exited:
			t.Fatalf("the broker ended at its start:\n%s", b.Log())
		case <-deadline:
			t.Fatalf("the broker doesn't answer: %v\n%s", err, b.Log())
		case <-time.After(20 * time.Millisecond): // nothing tells when it is ready
		}
	}
}

// apiVersions is a request of that kind, version 0, without a client's name.
var apiVersions = []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0, 0}

// ask sends a request that any broker answers. Behind TLS it only knocks.
func (b *Broker) ask() error {
	c, err := net.DialTimeout("tcp", b.Addr(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if b.security != nil {
		return b.security.knock(c)
	}
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write(apiVersions); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(size[:]); n < 6 || n > 1<<16 {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	return nil
}

// Log is what the broker wrote so far: warnings and errors.
func (b *Broker) Log() string {
	text, _ := os.ReadFile(b.path("log"))
	return string(text)
}

// Kill ends the broker with SIGKILL, as a crash does. It is harmless where none runs.
func (b *Broker) Kill(t testing.TB) { b.end(t, syscall.SIGKILL) }

// Stop ends the broker in order.
func (b *Broker) Stop(t testing.TB) { b.end(t, syscall.SIGTERM) }

func (b *Broker) end(t testing.TB, s syscall.Signal) {
	t.Helper()
	b.mu.Lock()
	pid, exited := b.pid, b.exited
	b.pid = 0
	b.mu.Unlock()
	if pid == 0 {
		return
	}
	_ = syscall.Kill(pid, s)
	select {
	case <-exited:
	case <-time.After(startTime):
		t.Errorf("the broker did not end on %v", s)
	}
}

// Signal sends the running broker a signal, such as SIGSTOP.
func (b *Broker) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pid == 0 || syscall.Kill(b.pid, s) != nil {
		t.Fatalf("no broker took %v", s)
	}
}

// CPU is the processor time that the running broker has used, as /proc has it: in hundredths of a second.
func (b *Broker) CPU(t testing.TB) time.Duration {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	var ticks int
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// The console tools, by the names that Kafka's own scripts have.
const (
	Topics          = "org.apache.kafka.tools.TopicCommand"
	ConsoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	ConsoleProducer = "org.apache.kafka.tools.ConsoleProducer"
	ConsumerGroups  = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	GetOffsets      = "org.apache.kafka.tools.GetOffsetShell"
)

// scripts are the names under which Kafka's download has these tools.
var scripts = map[string]string{
	"kafka-topics.sh": Topics, "kafka-console-consumer.sh": ConsoleConsumer, "kafka-console-producer.sh": ConsoleProducer,
	"kafka-consumer-groups.sh": ConsumerGroups, "kafka-get-offsets.sh": GetOffsets,
}

// Scripts makes a directory with Kafka's scripts, for the PATH of a shell: a command runs there as a user types it.
func (b *Broker) Scripts(t testing.TB) string {
	t.Helper()
	dir := b.path("bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, class := range scripts {
		text := "#!/bin/sh\nexec java"
		for _, arg := range b.tool(class) {
			text += " '" + arg + "'"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+" \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tool are the arguments of java that run a class.
func (b *Broker) tool(class string) []string {
	return []string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + b.path("log4j2.properties"),
		"-cp", b.libs + "/*", class,
	}
}

// Tool runs one of Kafka's console tools against this broker, with standard input, and returns what it prints.
func (b *Broker) Tool(t testing.TB, input, class string, args ...string) string {
	t.Helper()
	args = append([]string{"--bootstrap-server", b.Addr()}, args...)
	if b.security != nil {
		args = append(args, "--command-config", b.path("tools.properties"))
	}
	return b.pipe(t, input, class, args...)
}

func (b *Broker) pipe(t testing.TB, input, class string, args ...string) string {
	t.Helper()
	cmd := exec.Command("java", append(b.tool(class), args...)...)
	cmd.Dir, cmd.Stdin = b.dir, strings.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", class, err, &out, &errs)
	}
	return out.String()
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
