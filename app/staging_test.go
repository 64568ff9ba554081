//go:build linux

package app_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aura/agents/bus/kafkatest"
	"aura/agents/event"
	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/store/pgtest"
)

// wanted are the fields that each value of a topic has.
var wanted = map[event.Topic]string{
	event.Applications:    "application_id features",
	event.Outcomes:        "application_id outcome",
	event.RawEvents:       "id application_id accepted_at features",
	event.FeaturesTopic:   "id application_id accepted_at values vector",
	event.Predictions:     "id application_id values vector probability_of_default model_version model_digest",
	event.Decisions:       "id application_id decision probability_of_default reasons mode decided_at latency_ms",
	event.FeedbackTopic:   "id application_id outcome observed_at decision decided_at",
	event.Metrics:         "agent instance incarnation state at handled failed queue watermark",
	event.Alerts:          "kind target fingerprint state at epoch",
	event.PolicyRequests:  "request_id incident_id action_id action at",
	event.PolicyDecisions: "request_id incident_id action_id verdict envelope at",
	event.IncidentLog:     "incident_id incident_type target status state step text at",
	event.ConfigUpdates:   "setting generation",
}

// TestStaging has the real process on Kafka, PostgreSQL and MLflow heal a latency, and looks at all of it by the commands that
// the documentation shows, as they stand there, with Kafka's own console tools and psql.
func TestStaging(t *testing.T) {
	broker := kafkatest.Start(t)
	server := pgtest.Start(t)
	dir := t.TempDir()
	servers.Store(dir, server.DatabaseNamed(t, "aura_db"))
	buses.Store(dir, []string{"--bus", "kafka", "--brokers", broker.Addr()})
	trainTwo(t, dir)
	args := []string{"--simulate", "50"}
	if os.Getenv("AURA_PYTHON") != "" {
		args = append(args, "--mlflow", mlflowtest.Start(t).URL)
	}
	s := newShell(t, broker, server)
	p := start(t, dir, args...)
	p.well(t)

	live := s.begin(s.consumer(event.Alerts))
	var fault struct{ ID string }
	body := map[string]any{"target": "model", "kind": "latency", "delay": "2s", "share": 1, "ttl": "2m"}
	if status, err := call(http.MethodPost, p.base+"/api/v1/faults", body, &fault); err != nil || status >= 300 {
		t.Fatalf("the fault: %d, %v", status, err)
	}
	until(t, time.Minute, "a confirmed alert on the topic, under the fault", func() string {
		if i := slices.IndexFunc(live.values(), func(v map[string]any) bool {
			return v["kind"] == "LATENCY_SLO_BREACH" && v["state"] == "CONFIRMED"
		}); i < 0 {
			return fmt.Sprintf("%d alerts", len(live.values()))
		}
		return ""
	})
	live.end()
	id := p.incidentIn(t, "DEGRADED") // verified: well under the fault, by rules
	if status, err := call(http.MethodDelete, p.base+"/api/v1/faults/"+fault.ID, nil, nil); err != nil || status >= 300 {
		t.Fatalf("the fault's end: %d, %v", status, err)
	}
	if again := p.incidentIn(t, "RESOLVED"); again != id {
		t.Errorf("%s is resolved, %s was open", again, id)
	}
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}

	p = start(t, dir, args[2:]...) // without the simulator the lag becomes 0
	for _, line := range s.commands {
		if strings.Contains(line, "console-producer") {
			s.run(line)
		}
	}
	s.groups()
	if os.Getenv("AURA_PYTHON") != "" {
		until(t, time.Minute, "MLflow equal to the registry", func() string {
			var m struct {
				Equal    bool
				Versions int
			}
			if _, err := call(http.MethodGet, p.base+"/api/v1/models/mirror", nil, &m); err != nil || !m.Equal || m.Versions != 2 {
				return fmt.Sprintf("%+v, %v", m, err)
			}
			return ""
		})
	}
	if err := p.interrupt(t); err != nil {
		t.Fatalf("the drain failed: %v\n%s", err, tail(p.out.String(), 20))
	}
	s.topics(id, database(t, dir))
	s.queries(id)
	checkBook(t, dir, newBook())
	checkHealing(t, dir)
}

// incidentIn waits for the only incident to be in a state and returns its id.
func (p *process) incidentIn(t *testing.T, state string) (id string) {
	t.Helper()
	until(t, time.Minute, "an incident that is "+state, func() string {
		var list struct {
			Items []struct {
				ID    string `json:"incident_id"`
				Kind  string `json:"incident_type"`
				State string `json:"state"`
			}
		}
		if _, err := call(http.MethodGet, p.base+"/api/v1/incidents", nil, &list); err != nil {
			return err.Error()
		}
		if len(list.Items) == 1 && list.Items[0].Kind == "LATENCY_SLO_BREACH" && list.Items[0].State == state {
			id = list.Items[0].ID
			return ""
		}
		return fmt.Sprintf("%+v", list.Items)
	})
	return id
}

// shell runs the documentation's commands. Only the port is another one.
type shell struct {
	t                 *testing.T
	broker            *kafkatest.Broker
	env               []string
	commands, queried []string
}

func newShell(t *testing.T, broker *kafkatest.Broker, server *pgtest.Server) *shell {
	t.Helper()
	_, port, _ := strings.Cut(server.Addr(), ":")
	text, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, broker: broker, env: append(os.Environ(),
		"PATH="+broker.Scripts(t)+":"+server.Programs()+":"+os.Getenv("PATH"), "PGPORT="+port, "PGPASSWORD="+pgtest.Password)}
	block := func(name string) (lines []string) {
		_, rest, found := strings.Cut(string(text), "<!-- "+name+":")
		inside, _, ends := strings.Cut(rest, "<!-- end of "+name+" -->")
		if !found || !ends {
			t.Fatalf("the documentation has no %s", name)
		}
		for line := range strings.Lines(inside) {
			if strings.HasPrefix(line, "kafka-") || strings.HasPrefix(line, "echo ") || strings.HasPrefix(line, "psql ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return lines
	}
	s.commands, s.queried = block("commands"), block("queries")
	return s
}

func (s *shell) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(line, "127.0.0.1:9092", s.broker.Addr()))
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal is for all of it, as Ctrl-C is
	return cmd
}

// run returns what a command prints. It must succeed.
func (s *shell) run(line string) string {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(line)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s: %v\n%s%s", line, err, &out, &errs)
	}
	return out.String()
}

// documented returns the only command with all of the words.
func (s *shell) documented(words ...string) string {
	s.t.Helper()
	found := slices.DeleteFunc(slices.Concat(s.commands, s.queried), func(line string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line+" ", w) })
	})
	if len(found) != 1 {
		s.t.Fatalf("the documentation has %d commands with %q", len(found), words)
	}
	return found[0]
}

func (s *shell) consumer(topic event.Topic) string {
	s.t.Helper()
	return s.documented("console-consumer", "--topic "+string(topic)+" ", "--from-beginning")
}

// reading is a console consumer at work.
type reading struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs safeBuffer
	done      chan error
}

func (s *shell) begin(line string) *reading {
	s.t.Helper()
	r := &reading{t: s.t, cmd: s.command(line), done: make(chan error, 1)}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	s.t.Cleanup(func() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
	return r
}

// values are the whole lines so far, each of which must be a JSON object.
func (r *reading) values() (out []map[string]any) {
	text := r.out.String()
	lines := bufio.NewScanner(strings.NewReader(text[:strings.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var v map[string]any
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			r.t.Fatalf("a value is no JSON object: %v\n%s", err, lines.Text())
		}
		out = append(out, v)
	}
	return out
}

// end is Ctrl-C.
func (r *reading) end() {
	r.t.Helper()
	if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		r.t.Fatalf("the consumer doesn't end\n%s", r.errs.String())
	}
}

// groups lists them, and waits until none has a lag.
func (s *shell) groups() {
	s.t.Helper()
	listed := strings.Fields(s.run(s.documented("kafka-consumer-groups.sh", "--list")))
	for _, agent := range []string{"ingestion", "feature", "model", "decision"} {
		group := event.Group(agent)
		if !slices.Contains(listed, group) {
			s.t.Errorf("no group %s in %v", group, listed)
		}
		line := s.documented("--describe", "--group "+group+" ")
		until(s.t, time.Minute, group+" without lag", func() string { return lagOf(s.run(line)) })
	}
}

// topics lists them and reads each from its beginning to its end.
func (s *shell) topics(incident string, db *sql.DB) {
	s.t.Helper()
	listed := strings.Fields(s.run(s.documented("kafka-topics.sh", "--list")))
	ends := map[event.Topic]int{}
	for line := range strings.Lines(s.broker.Tool(s.t, "", kafkatest.GetOffsets)) {
		f := strings.Split(strings.TrimSpace(line), ":") // topic, partition, offset
		if len(f) == 3 {
			n, _ := strconv.Atoi(f[2])
			ends[event.Topic(f[0])] += n
		}
	}
	values := map[event.Topic][]map[string]any{}
	for topics := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), 3) { // each is a virtual machine
		var readers []*reading
		for _, topic := range topics {
			if !slices.Contains(listed, string(topic)) {
				s.t.Errorf("no topic %s in %v", topic, listed)
			}
			readers = append(readers, s.begin(s.consumer(topic)))
		}
		for i, topic := range topics {
			r := readers[i]
			until(s.t, time.Minute, "all of "+string(topic), func() string {
				if n := strings.Count(r.out.String(), "\n"); n < max(ends[topic], 1) {
					return fmt.Sprintf("%d of %d values\n%s", n, ends[topic], tail(r.errs.String(), 5))
				}
				return ""
			})
			r.end()
			values[topic] = r.values()
			if n := len(values[topic]); n != ends[topic] || !strings.Contains(r.errs.String(), fmt.Sprintf("Processed a total of %d messages", n)) {
				s.t.Errorf("%s: %d values of %d: %s", topic, n, ends[topic], tail(r.errs.String(), 3))
			}
		}
	}
	for topic, fields := range wanted {
		for _, v := range values[topic] {
			for _, field := range strings.Fields(fields) {
				if _, ok := v[field]; !ok {
					s.t.Errorf("%s: no %s in %v", topic, field, v)
					break
				}
			}
		}
		s.t.Logf("%-16s %6d values", topic, len(values[topic]))
	}
	s.tell(values, incident)
	told := map[any]bool{}
	for _, v := range values[event.Decisions] {
		told[v["id"]], told[v["application_id"]] = true, true
	}
	decided, err := texts(db, "SELECT application_id FROM decisions")
	if err != nil {
		s.t.Fatal(err)
	}
	missing := slices.DeleteFunc(slices.Clone(decided), func(id string) bool { return told[id] })
	if len(missing) > 0 {
		s.t.Errorf("%d of %d decisions are not on the topic, such as %s", len(missing), len(decided), missing[0])
	}
}

// tell looks whether the topics tell the healing.
func (s *shell) tell(values map[event.Topic][]map[string]any, incident string) {
	s.t.Helper()
	for _, c := range []struct {
		topic event.Topic
		what  string
		is    func(v map[string]any) bool
	}{
		{event.Applications, "the application", func(v map[string]any) bool { return v["application_id"] == "by-topic-1" }},
		{event.Decisions, "its decision", func(v map[string]any) bool { return v["application_id"] == "by-topic-1" && v["source"] == "kafka" }},
		{event.FeedbackTopic, "its outcome", func(v map[string]any) bool {
			return v["application_id"] == "by-topic-1" && v["outcome"] == "defaulted"
		}},
		{event.Decisions, "a decision by the model", func(v map[string]any) bool { return v["mode"] == "MODEL" }},
		{event.Decisions, "a decision by rule", func(v map[string]any) bool { return v["mode"] == "SAFE_MODE" && v["rule"] != nil }},
		{event.Alerts, "a confirmed breach", func(v map[string]any) bool { return v["kind"] == "LATENCY_SLO_BREACH" && v["state"] == "CONFIRMED" }},
		{event.PolicyRequests, "the request for safe mode", func(v map[string]any) bool {
			return v["incident_id"] == incident && strings.Contains(fmt.Sprint(v["action"]), "ENABLE_SAFE_MODE")
		}},
		{event.PolicyDecisions, "its approval", func(v map[string]any) bool { return v["incident_id"] == incident && v["verdict"] == "APPROVED" }},
		{event.IncidentLog, "the resolution", func(v map[string]any) bool { return v["incident_id"] == incident && v["status"] == "RESOLVED" }},
		{event.ConfigUpdates, "the change of mode", func(v map[string]any) bool { return v["setting"] == "mode" }},
	} {
		if !slices.ContainsFunc(values[c.topic], c.is) {
			s.t.Errorf("%s doesn't tell %s", c.topic, c.what)
		}
	}
}

// queries asks the database, with psql over TCP.
func (s *shell) queries(incident string) {
	s.t.Helper()
	for _, c := range []struct{ words, answer []string }{
		{[]string{`\dt`}, []string{"incidents", "healing_actions", "decisions", "policy_decisions", "memory_chunks", "audit", "aura_user"}},
		{[]string{"incident_id, incident_type, status, detected_at"}, []string{incident, "LATENCY_SLO_BREACH", "RESOLVED"}},
		{[]string{"incident_id, action_type, agl_decision, executed_at"}, []string{incident, "ENABLE_SAFE_MODE", "DISABLE_SAFE_MODE", "APPROVED"}},
		{[]string{"AVG(EXTRACT(EPOCH"}, []string{"LATENCY_SLO_BREACH"}},
		{[]string{"SELECT * FROM incidents WHERE incident_type='LATENCY_SLO_BREACH';"}, []string{incident, "RESOLVED"}},
	} {
		out := s.run(s.documented(append(c.words, "psql -h 127.0.0.1 -U aura_user -d aura_db -c ")...))
		for _, want := range c.answer {
			if !strings.Contains(out, want) {
				s.t.Errorf("%q: no %s in\n%s", c.words, want, out)
			}
		}
	}
}
