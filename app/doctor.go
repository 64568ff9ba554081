package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aura/agents/bus"
	"aura/agents/governance"
	"aura/app/cli"
	"aura/app/config"
	"aura/app/doctor"
	"aura/mlops/registry"
	"aura/mlops/registry/mlflow"
	"aura/store"
)

const (
	// probeWithin bounds each probe.
	probeWithin = 10 * time.Second
	// maxProbed bounds what is read of another server's answer.
	maxProbed = 4 << 20
)

// Doctor is the body of `aura doctor`: a look at each part that the configuration names, which changes nothing.
func Doctor(ctx context.Context, loaded config.Loaded, r cli.DoctorRequest) (cli.Report, error) {
	cfg := loaded.Config
	p := prober{loaded: loaded, cfg: cfg, web: &http.Client{Timeout: probeWithin}, prometheus: r.Prometheus}
	report := doctor.Run(
		ctx, probeWithin,
		doctor.Probe{Part: "configuration", Look: p.configuration}, doctor.Probe{Part: "data directory", Look: p.directory},
		doctor.Probe{Part: "server", Look: p.server}, doctor.Probe{Part: "store", Look: p.store}, doctor.Probe{Part: "model", Look: p.model},
		doctor.Probe{Part: "bus", Look: p.bus}, doctor.Probe{Part: "MLflow", Look: p.mlflow}, doctor.Probe{Part: "webhook", Look: p.webhook}, doctor.Probe{Part: "Prometheus", Look: p.prom},
	)
	if !report.Healthy {
		return report, cli.Exit(cli.ExitUnreachable, errors.New("a part that is needed has failed"), "see the lines above that begin with failed")
	}
	return report, nil
}

// prober looks at the parts of one configuration.
type prober struct {
	loaded     config.Loaded
	cfg        config.Config
	web        *http.Client
	prometheus string
}

func (p prober) configuration(context.Context) doctor.Finding {
	from := "defaults and environment only"
	if p.loaded.File != "" {
		from = p.loaded.File
	}
	if err := errors.Join(p.loaded.Files(), Check(p.cfg)); err != nil {
		return doctor.Bad("mend the key that is named; aura config show --origin says where each value comes from", "%s: %v", from, err)
	}
	if addr, _, err := net.SplitHostPort(p.cfg.HTTP.Addr); err == nil && p.cfg.HTTP.Token == "" && p.cfg.Governance.Principals == "" && !loopback(addr) {
		return doctor.Risk("set AURA_TOKEN or governance.principals", "%s: open to others without a token", from)
	}
	return doctor.Good("valid: %s", from)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

const (
	// roomLeast is how much room a data directory needs, roomWanted how much it should have.
	roomLeast, roomWanted = 100 << 20, 1 << 30
	// syncSlow is a sync that leaves an application undecided for longer than people like.
	syncSlow = 20.0 // ms
)

func (p prober) directory(context.Context) doctor.Finding {
	dir := p.cfg.Data.Dir
	info, err := os.Stat(dir)
	missing := errors.Is(err, os.ErrNotExist)
	at := dir
	for missing && at != filepath.Dir(at) { // where it would be made
		if at = filepath.Dir(at); exists(at) {
			break
		}
	}
	switch {
	case err != nil && !missing:
		return doctor.Bad("give this user the right to read it, or name another one with --data", "%v", err)
	case err == nil && !info.IsDir():
		return doctor.Bad("name a directory with --data", "%s is a file", dir)
	}
	probe, err := os.MkdirTemp(at, ".aura-doctor-")
	if err != nil {
		return doctor.Bad("give this user the right to write there, or name another one with --data", "%v", err)
	}
	p50, _, err := fsyncTimes(probe)
	if err = errors.Join(err, os.RemoveAll(probe)); err != nil {
		return doctor.Bad("make room, or look at the disk", "%v", err)
	}
	free, err := room(at)
	keyErr := governance.CheckKey(dir)
	switch {
	case keyErr != nil:
		return doctor.Bad("mend what is named there; with a new key earlier decisions are not vouched for", "%v", keyErr)
	case err != nil:
		return doctor.Bad("look at the disk", "%v", err)
	case free < roomLeast:
		return doctor.Bad("make room: a full disk stops intake", "%s has %d MiB left", dir, free>>20)
	case free < roomWanted:
		return doctor.Risk("make room soon", "%s has %d MiB left", dir, free>>20)
	case p50 > syncSlow:
		return doctor.Risk("each commit waits for a sync: take another disk", "a sync in %s takes %.1f ms", dir, p50)
	case missing:
		return doctor.Good("%s is made by the first start; %d GiB left, a sync takes %.1f ms", dir, free>>30, p50)
	}
	return doctor.Good("%s: %d GiB left, a sync takes %.1f ms", dir, free>>30, p50)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// server asks the one that runs on this data directory, or whether one could.
func (p prober) server(ctx context.Context) doctor.Finding {
	if raw, err := os.ReadFile(addrFile(p.cfg.Data.Dir)); err == nil {
		address := strings.TrimSpace(string(raw))
		var ready struct {
			Checks []struct {
				Name, Reason string
				OK           bool
			}
		}
		status, err := p.get(ctx, "http://"+address+"/readyz", &ready)
		switch {
		case err != nil && status == 0 && p.held():
			return doctor.Bad("it hangs, is stopped, or is just starting: see its log; kill -QUIT shows where it is", "a process holds %s and doesn't answer at %s: %v", p.cfg.Data.Dir, address, err)
		case err != nil && status == 0:
			// Its process was killed; a start takes its place.
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			return doctor.Risk("give the doctor a token, by AURA_TOKEN", "the server at %s answers, but not without a token (%d)", address, status)
		case err != nil && status != http.StatusServiceUnavailable:
			return doctor.Bad("see its log", "the server at %s answers /readyz with %d", address, status)
		default:
			for _, c := range ready.Checks {
				if !c.OK {
					return doctor.Bad("see its log and its page", "the server at %s is not ready: %s: %s", address, c.Name, c.Reason)
				}
			}
			return doctor.Good("runs at %s and is ready", address)
		}
	}
	if p.held() {
		return doctor.Bad("it hangs, is stopped, or is just starting: see its log", "a process holds %s, and has left no address there", p.cfg.Data.Dir)
	}
	l, err := net.Listen("tcp", p.cfg.HTTP.Addr)
	if err != nil {
		return doctor.Bad("take another address (--http 127.0.0.1:0 picks a free port), or stop who has it", "none runs here, and %s can't be taken: %v", p.cfg.HTTP.Addr, err)
	}
	if err := l.Close(); err != nil {
		return doctor.Bad("", "%v", err)
	}
	return doctor.Good("none runs here; %s is free", p.cfg.HTTP.Addr)
}

// held reports whether a process has the data directory.
func (p prober) held() bool {
	held, err := store.Held(p.cfg.Data.Dir)
	return held && err == nil
}

// get reads a JSON answer. An answer that isn't 200 is an error, and read all the same.
func (p prober) get(ctx context.Context, address string, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	if p.cfg.HTTP.Token != "" && strings.HasPrefix(address, "http://127.0.0.1") {
		r.Header.Set("Authorization", "Bearer "+p.cfg.HTTP.Token)
	}
	a, err := p.web.Do(r)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(a.Body, maxProbed))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if a.StatusCode != http.StatusOK {
		return a.StatusCode, fmt.Errorf("status %d", a.StatusCode)
	}
	return a.StatusCode, err
}

// skewMost is how far clocks may be apart: leases expire by the server's, decisions are dated by ours.
const skewMost = time.Second

// fewConnections is how many are left to a server that may soon refuse one: a process takes nine.
const fewConnections = 10

func (p prober) store(ctx context.Context) doctor.Finding {
	o := storeOptions(p.cfg, slog.New(slog.DiscardHandler))
	what := "SQLite"
	if p.cfg.Store.URL != "" {
		what = "PostgreSQL"
	}
	c, err := store.Look(ctx, o)
	var gone *store.Unavailable
	switch {
	case errors.Is(err, store.ErrNotFound):
		return doctor.Good("%s: no database yet; the first start makes it", what)
	case err != nil && p.cfg.Store.URL == "":
		return doctor.Bad("stop, keep the file, and restore a copy", "%s: %v", what, err)
	case errors.As(err, &gone):
		return doctor.Bad("start the server, and see that address, name, user and password of store.url (AURA_DB) are right", "%v", err)
	case err != nil:
		return doctor.Bad("see docs/operations.md, The database", "%v", err)
	case c.Unsound != "":
		return doctor.Bad("stop, keep the file, and restore a copy", "%s %s: the file is damaged: %s", what, c.Version, c.Unsound)
	case c.Schema > c.Newest:
		return doctor.Bad("run the program that it belongs to, or a newer one", "the tables are at version %d, this program knows %d", c.Schema, c.Newest)
	case len(c.Careless) > 0:
		slices.Sort(c.Careless)
		return doctor.Risk("set them on: what was answered may be lost when the machine stops", "%s %s: %s", what, c.Version, strings.Join(c.Careless, ", "))
	case c.Skew.Abs() > skewMost:
		return doctor.Risk("let both machines follow a time server", "%s %s: its clock is %v from ours", what, c.Version, c.Skew.Round(time.Millisecond))
	case c.Connections > 0 && c.Free < fewConnections:
		return doctor.Risk("raise max_connections", "%s %s: %d of %d connections are left", what, c.Version, c.Free, c.Connections)
	case c.Schema < c.Newest:
		return doctor.Good("%s %s: the next start brings its tables from version %d to %d", what, c.Version, c.Schema, c.Newest)
	}
	return doctor.Good("%s %s: tables at version %d", what, c.Version, c.Schema)
}

// oneVersion is a repository of nothing but one version.
type oneVersion struct {
	registry.Repository
	v registry.Version
}

func (r oneVersion) Version(context.Context, int) (registry.Version, error) { return r.v, nil }

// model loads the champion from its file and has it score its probe, as a start does.
func (p prober) model(ctx context.Context) doctor.Finding {
	s, err := loadSchema(p.cfg)
	if err != nil {
		return doctor.Bad("mend the schema", "%v", err)
	}
	rows, err := store.Query(ctx, storeOptions(p.cfg, slog.New(slog.DiscardHandler)),
		`SELECT v.number, v.digest, v.file FROM aliases a JOIN model_versions v ON v.number = a.version WHERE a.alias = 'champion'`, 1)
	const remedy = "restore the file from a copy of the data directory, or promote another version (start the server, which goes on deciding by what it has or by the rules, then aura model ls and aura model promote)"
	var refused *registry.Refused
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && len(rows.Rows) == 0:
		return doctor.Good("none yet; the first start trains one")
	case err != nil:
		return doctor.Finding{State: doctor.Unused, Found: "the store can't be asked which one decides"}
	}
	v := registry.Version{Digest: fmt.Sprint(rows.Rows[0][1]), File: fmt.Sprint(rows.Rows[0][2])}
	if _, err := fmt.Sscan(fmt.Sprint(rows.Rows[0][0]), &v.Number); err != nil {
		return doctor.Bad(remedy, "version %v: %v", rows.Rows[0][0], err)
	}
	m, err := registry.New(oneVersion{v: v}, p.cfg.Data.Dir, s).Load(ctx, v.Number)
	if err == nil {
		err = m.Check()
	}
	switch {
	case errors.As(err, &refused):
		return doctor.Bad(remedy, "version %d: %s", v.Number, refused.Message)
	case err != nil:
		return doctor.Bad(remedy, "version %d: %v", v.Number, err)
	}
	return doctor.Good("version %d (%.12s) decides, loads and scores as it did when it was made", v.Number, v.Digest)
}

func (p prober) bus(context.Context) doctor.Finding {
	if p.cfg.Bus.Kind != kafkaBus {
		return doctor.Good("%s, in the process", p.cfg.Bus.Kind)
	}
	c, err := bus.LookAtKafka(kafkaOptions(p.cfg, slog.New(slog.DiscardHandler)), bus.KafkaTopics{Partitions: p.cfg.Kafka.Partitions, Replicas: p.cfg.Kafka.Replicas})
	switch {
	case err != nil:
		return doctor.Bad("start the brokers, and see that kafka.brokers (--brokers), kafka.sasl and kafka.tls are right", "%v", err)
	case len(c.Leaderless) > 0:
		return doctor.Bad("start the broker that is missing: kafka-topics --describe --unavailable-partitions", "nobody serves a partition of %s", strings.Join(c.Leaderless, ", "))
	case len(c.Unlike) > 0:
		name := slices.Min(slices.Collect(maps.Keys(c.Unlike)))
		return doctor.Risk("set kafka.partitions to what is there; more of them only while nothing is under way", "%d topics have another number of partitions than configured, %s has %d", len(c.Unlike), name, c.Unlike[name])
	case len(c.Missing) > 0:
		return doctor.Good("Kafka, %d brokers: the next start, or aura migrate, makes %d topics", c.Brokers, len(c.Missing))
	}
	return doctor.Good("Kafka, %d brokers: all %d topics are there", c.Brokers, c.Topics)
}

func (p prober) mlflow(ctx context.Context) doctor.Finding {
	if p.cfg.MLflow.URL == "" {
		return doctor.NotUsed("mlflow.url")
	}
	c, err := mlflow.NewClient(p.cfg.MLflow.URL, mlflow.Credentials{Username: p.cfg.MLflow.Username, Password: p.cfg.MLflow.Password, Token: p.cfg.MLflow.Token}, probeWithin)
	if err != nil {
		return doctor.Bad("mend mlflow.url", "%v", err)
	}
	var version string
	if err = c.Ping(ctx); err == nil {
		version, err = c.Version(ctx)
	}
	switch {
	case err != nil:
		return doctor.Bad("start it (mlflow server --serve-artifacts), see mlflow.url; decisions go on without it", "%v", err)
	case !strings.HasPrefix(version, "3."):
		return doctor.Bad("take MLflow 3", "the server is MLflow %.20s", version)
	}
	return doctor.Good("MLflow %.20s answers", version)
}

// webhook is called, not posted to: a person isn't called by a look.
func (p prober) webhook(ctx context.Context) doctor.Finding {
	if p.cfg.Healing.Webhook == "" {
		return doctor.Finding{State: doctor.Unused, Found: "healing.webhook is empty: people are called by log, events and page only"}
	}
	const remedy = "see that healing.webhook is right and can be reached from here"
	u, err := url.Parse(p.cfg.Healing.Webhook)
	if err != nil {
		return doctor.Bad(remedy, "it is no URL")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return doctor.Bad(remedy, "%s can't be reached: %v", address, err)
	}
	return doctor.Good("%s can be reached (nothing was sent)", errOr(conn.Close(), address))
}

func errOr(err error, text string) string {
	if err != nil {
		return text + ": " + err.Error()
	}
	return text
}

// prom asks a Prometheus whether it watches this process.
func (p prober) prom(ctx context.Context) doctor.Finding {
	if p.prometheus == "" {
		return doctor.Finding{State: doctor.Unused, Found: "name one with --prometheus"}
	}
	base := strings.TrimRight(p.prometheus, "/")
	var targets struct {
		Data struct {
			Active []struct {
				URL       string `json:"scrapeUrl"`
				Health    string `json:"health"`
				LastError string `json:"lastError"`
				Labels    struct {
					Job string `json:"job"`
				} `json:"labels"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if status, err := p.get(ctx, base+"/api/v1/targets?state=active", &targets); status != 0 && err != nil {
		return doctor.Bad("see the address: it isn't a Prometheus that answers there", "status %d: %v", status, err)
	} else if err != nil {
		return doctor.Bad("start it: prometheus --config.file=deploy/prometheus/prometheus.yaml", "%v", err)
	}
	up := 0
	for _, t := range targets.Data.Active {
		switch {
		case t.Labels.Job != "aura":
		case t.Health == "down":
			return doctor.Bad("see the address in its scrape configuration, and the token if the process has one", "it can't read %s: %s", t.URL, t.LastError)
		default:
			up++
		}
	}
	if up == 0 {
		return doctor.Bad("add the scrape configuration of deploy/prometheus/prometheus.yaml", "none of its %d targets is of the job aura", len(targets.Data.Active))
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Name string `json:"name"`
			} `json:"groups"`
		} `json:"data"`
	}
	if _, err := p.get(ctx, base+"/api/v1/rules", &rules); err != nil {
		return doctor.Bad("see its log", "%v", err)
	}
	for _, g := range rules.Data.Groups {
		if strings.HasPrefix(g.Name, "aura-") {
			return doctor.Good("it reads %d of ours and has the alert rules", up)
		}
	}
	return doctor.Risk("add deploy/prometheus/rules.yaml to its rule_files", "it reads %d of ours, and has none of the alert rules", up)
}
