package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"aura/agents/bus"
	"aura/agents/governance"
	"aura/app/doctor"
	"aura/mlops/registry"
	"aura/mlops/registry/mlflow"
	"aura/store"
)

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
	case errors.Is(err, fs.ErrPermission):
		return doctor.Bad("run this as the user of the server", "%s: %v", what, err)
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

// oneVersion is a repository of nothing but one version, whose file it doesn't keep: a look writes nothing.
type oneVersion struct {
	registry.Repository
	v registry.Version
}

func (r oneVersion) Version(context.Context, int) (registry.Version, error) { return r.v, nil }
func (r oneVersion) File(context.Context, string) ([]byte, error)           { return nil, registry.ErrNotFound }

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
	m, err := registry.New(oneVersion{v: v}, p.cfg.Data.Dir, s, slog.New(slog.DiscardHandler)).Load(ctx, v.Number)
	if err == nil {
		err = m.Check()
	}
	switch {
	case errors.As(err, &refused) && (refused.Code == registry.CodeFile || refused.Code == registry.CodeBroken) && p.kept(ctx):
		return doctor.Good("version %d (%.12s) decides; its file isn't whole here, and the start fetches it from the database", v.Number, v.Digest)
	case errors.As(err, &refused):
		return doctor.Bad(remedy, "version %d: %s", v.Number, refused.Message)
	case err != nil:
		return doctor.Bad(remedy, "version %d: %v", v.Number, err)
	}
	return doctor.Good("version %d (%.12s) decides, loads and scores as it did when it was made", v.Number, v.Digest)
}

// kept reports whether the database has the champion's file, for processes that lack it.
func (p prober) kept(ctx context.Context) bool {
	rows, err := store.Query(ctx, storeOptions(p.cfg, slog.New(slog.DiscardHandler)), `SELECT 1 FROM aliases a JOIN model_versions v ON v.number = a.version
		JOIN model_files f ON f.digest = v.digest WHERE a.alias = 'champion' GROUP BY f.digest HAVING COUNT(*) = MAX(f.parts)`, 1)
	return err == nil && len(rows.Rows) == 1 // an error: tables of an earlier program
}

// key looks whether this process has the key that decisions are signed with, without which it doesn't start.
func (p prober) key(ctx context.Context) doctor.Finding {
	if !p.cfg.Healing.Enabled || !signs(p.cfg) {
		return doctor.Finding{State: doctor.Unused, Found: "this process neither signs nor executes anything"}
	}
	inForce := ""
	rows, err := store.Query(ctx, storeOptions(p.cfg, slog.New(slog.DiscardHandler)), "SELECT value FROM desired_state WHERE setting = '"+store.SettingKey+"'", 1)
	if err == nil && len(rows.Rows) == 1 {
		inForce = fmt.Sprint(rows.Rows[0][0])
	}
	name := keyFile(p.cfg)
	key, ok, err := governance.LookForKey(name, inForce)
	const remedy = "put a copy of the key in force there, from another process of this database, or put another one in force: aura keys rotate"
	switch {
	case errors.Is(err, os.ErrNotExist) && inForce == "":
		return doctor.Good("%s is made by the first start", name)
	case errors.Is(err, os.ErrNotExist):
		return doctor.Bad(remedy, "%s is missing, and decisions are signed with the key %s", name, inForce)
	case err != nil:
		return doctor.Bad("mend what is named there; with a new key earlier decisions are not vouched for", "%v", err)
	case !ok && inForce != "":
		return doctor.Bad(remedy, "%s has the key %s, and decisions are signed with %s", name, governance.KeyID(key), inForce)
	}
	return doctor.Good("%s has the key %s", name, governance.KeyID(key))
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
	return reached(ctx, p.cfg.Healing.Webhook, "healing.webhook")
}

// tracing asks only whether the collector can be reached, for the same reason: what is sent stays there.
func (p prober) tracing(ctx context.Context) doctor.Finding {
	if p.cfg.Tracing.Endpoint == "" {
		return doctor.NotUsed("tracing.endpoint")
	}
	return reached(ctx, p.cfg.Tracing.Endpoint, "tracing.endpoint")
}

// reached opens a connection to an address that may hold a secret, and shows only host and port of it.
func reached(ctx context.Context, address, key string) doctor.Finding {
	remedy := "see that " + key + " is right and can be reached from here"
	u, err := url.Parse(address)
	if err != nil {
		return doctor.Bad(remedy, "it is no URL")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", host)
	}
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		return doctor.Bad(remedy, "%s can't be reached: %v", host, err)
	}
	return doctor.Good("%s can be reached (nothing was sent)", host)
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
	if status, err := p.get(ctx, base+"/api/v1/targets?state=active", "", &targets); status != 0 && err != nil {
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
	if _, err := p.get(ctx, base+"/api/v1/rules", "", &rules); err != nil {
		return doctor.Bad("see its log", "%v", err)
	}
	for _, g := range rules.Data.Groups {
		if strings.HasPrefix(g.Name, "aura-") {
			return doctor.Good("it reads %d of ours and has the alert rules", up)
		}
	}
	return doctor.Risk("add deploy/prometheus/rules.yaml to its rule_files", "it reads %d of ours, and has none of the alert rules", up)
}
