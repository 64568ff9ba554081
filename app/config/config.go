package config

import "time"

// Config is every setting. Tags: key is the name in the file; env an additional name in the environment; secret hides
// the value wherever it is shown; enum lists what a text may be; min, max and above bound numbers and durations
// (inclusive, inclusive, exclusive). Defaults stand in Default, meanings in config.yaml.
type Config struct {
	HTTP HTTP `key:"http"`
	Data Data `key:"data"`
	// Instance is what this process is called among those of a deployment; empty: a name that the data directory keeps.
	Instance   string     `key:"instance"`
	Store      Store      `key:"store"`
	Bus        Bus        `key:"bus"`
	Kafka      Kafka      `key:"kafka"`
	Agents     Agents     `key:"agents"`
	Admission  Admission  `key:"admission"`
	Sweep      Sweep      `key:"sweep"`
	Simulate   Simulate   `key:"simulate"`
	Source     Source     `key:"source"`
	Schema     Schema     `key:"schema"`
	Seed       uint64     `key:"seed"`
	Retention  Retention  `key:"retention"`
	Training   Training   `key:"training"`
	MLflow     MLflow     `key:"mlflow"`
	Faults     Faults     `key:"faults"`
	Desired    Desired    `key:"desired"`
	Monitoring Monitoring `key:"monitoring"`
	Healing    Healing    `key:"healing"`
	Governance Governance `key:"governance"`
	Tracing    Tracing    `key:"tracing"`
	Log        Log        `key:"log"`
	Shutdown   Shutdown   `key:"shutdown"`
}

// HTTP is the edge: where it listens, who may talk to it, how much it takes.
type HTTP struct {
	Addr    string        `key:"addr"`
	Token   string        `key:"token" env:"AURA_TOKEN" secret:"true"`
	Hosts   []string      `key:"hosts"`
	Wait    time.Duration `key:"wait" min:"0s" max:"30s"`
	MaxBody Size          `key:"max_body" min:"1KiB" max:"64MiB"`
}

// Data is where everything durable lives.
type Data struct {
	Dir string `key:"dir"`
}

// Store is the database: a PostgreSQL server's where it has a URL, else the file in the data directory.
type Store struct {
	URL string `key:"url" env:"AURA_DB" secret:"true"`
}

// MLflow is the server that the model registry is mirrored in, if it has a URL.
type MLflow struct {
	URL string `key:"url" env:"AURA_MLFLOW"`
	// Model is the registered model, named as the schema if empty.
	Model      string        `key:"model"`
	Experiment string        `key:"experiment"`
	Every      time.Duration `key:"every" min:"1s" max:"1h"`
	Username   string        `key:"username" env:"MLFLOW_TRACKING_USERNAME"`
	Password   string        `key:"password" env:"MLFLOW_TRACKING_PASSWORD" secret:"true"`
	Token      string        `key:"token" env:"MLFLOW_TRACKING_TOKEN" secret:"true"`
}

// Tracing is where spans go, and of how much.
type Tracing struct {
	// Endpoint is an OTLP collector's base URL; empty means no tracing.
	Endpoint string  `key:"endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	Ratio    float64 `key:"ratio" min:"0" max:"1"`
}

// Bus is the transport between agents.
type Bus struct {
	Kind         string `key:"kind" enum:"memory,gochannel,kafka"`
	Lanes        int    `key:"lanes" min:"1" max:"256"`
	LaneCapacity int    `key:"lane_capacity" min:"1" max:"1048576"`
}

// Agents is which agents run in this process and how the supervisor treats them.
type Agents struct {
	// Select names the agents to run; empty means all.
	Select        []string      `key:"select"`
	Heartbeat     time.Duration `key:"heartbeat" min:"10ms" max:"10s"`
	StageDeadline time.Duration `key:"stage_deadline" min:"10ms" max:"30s"`
	Grace         time.Duration `key:"grace" min:"10ms" max:"30s"`
	Restart       string        `key:"restart" enum:"auto,governed"`
	MaxZombies    int           `key:"max_zombies" min:"1" max:"100"`
}

// Admission bounds the applications that are accepted and undecided.
type Admission struct {
	Window int `key:"window" min:"1" max:"10000000"`
}

// Sweep is when an accepted, undecided application is published again.
type Sweep struct {
	MinAge time.Duration `key:"min_age" min:"100ms" max:"1h"`
	MaxAge time.Duration `key:"max_age" min:"100ms" max:"24h"`
}

// Simulate is the built-in source of applications: Rate a second (0 = off), the outcome of each OutcomeDelay later.
type Simulate struct {
	Rate         float64       `key:"rate" min:"0" max:"1000000"`
	OutcomeDelay time.Duration `key:"outcome_delay" min:"0s" max:"24h"`
}

// Source streams the rows of a file as applications: TrainShare of them train the first model, the rest is streamed.
type Source struct {
	File         string        `key:"file"`
	Rate         float64       `key:"rate" min:"0" max:"1000000"`
	Order        string        `key:"order" enum:"seeded,file"`
	TrainShare   float64       `key:"train_share" above:"0" max:"0.95"`
	OutcomeDelay time.Duration `key:"outcome_delay" min:"0s" max:"24h"`
}

// Schema is the file that names the features; empty means the built-in credit schema.
type Schema struct {
	File string `key:"file"`
}

// Retention is how long rows are kept: simulated ones, and others by age.
type Retention struct {
	Simulated    time.Duration `key:"simulated" min:"1m" max:"87600h"`
	Applications time.Duration `key:"applications" min:"1h" max:"876000h"`
	Every        time.Duration `key:"every" min:"1s" max:"24h"`
}

// Training is how a model is trained: Rows of synthetic data where no file is given, Trees, Depth.
type Training struct {
	Rows  int `key:"rows" min:"200" max:"10000000"`
	Trees int `key:"trees" min:"1" max:"2000"`
	Depth int `key:"depth" min:"1" max:"20"`
}

// Faults is fault injection: whether its routes exist, and how long a fault may last at most.
type Faults struct {
	Enabled bool          `key:"enabled"`
	MaxTTL  time.Duration `key:"max_ttl" min:"1s" max:"15m"`
}

// Desired is how often each process polls the desired state.
type Desired struct {
	Poll time.Duration `key:"poll" min:"50ms" max:"1m"`
}

// Monitoring is what counts as unhealthy, and how many false alarms the sequential detectors may raise: their thresholds
// follow from that.
type Monitoring struct {
	FalseAlarmsMonth   float64       `key:"false_alarms_month" above:"0" max:"1000"`
	Rate               float64       `key:"rate" above:"0" max:"1000000"`
	FalseAlarmPerModel float64       `key:"false_alarm_per_model" min:"0" max:"0.1"`
	Autocorrelation    float64       `key:"autocorrelation" min:"0" max:"0.5"`
	HarmlessShift      float64       `key:"harmless_shift" min:"0" max:"0.2"`
	AccuracyFloor      float64       `key:"accuracy_floor" above:"0" max:"0.99"`
	AccuracyMargin     float64       `key:"accuracy_margin" min:"0.01" max:"0.5"`
	PSI                float64       `key:"psi" above:"0" max:"10"`
	PSIClear           float64       `key:"psi_clear" above:"0" max:"10"`
	HeartbeatMissing   time.Duration `key:"heartbeat_missing" min:"300ms" max:"5m"`
}

// Healing is the healing loop: whether it runs, whether it only says what it would do, whom it calls, what it tries.
type Healing struct {
	Enabled bool   `key:"enabled"`
	DryRun  bool   `key:"dry_run"`
	Webhook string `key:"webhook" secret:"true"`
	// Playbooks maps incident kinds to ladders; kinds left out keep the ladder that ships.
	Playbooks Document `key:"playbooks"`
}

// Governance is what the loop may do, and who decides.
type Governance struct {
	Profile     string        `key:"profile" enum:"demo,supervised,off"`
	ApprovalTTL time.Duration `key:"approval_ttl" min:"1s" max:"24h"`
	Principals  string        `key:"principals"`
	KeyFile     string        `key:"key_file"`
	Rules       Document      `key:"rules"`
	Limits      Document      `key:"limits"`
}

// Log is what goes to stderr while the server runs.
type Log struct {
	Level  string `key:"level" enum:"debug,info,warn,error"`
	Format string `key:"format" enum:"text,json"`
}

// Shutdown bounds the drain after the first interrupt.
type Shutdown struct {
	Timeout time.Duration `key:"timeout" min:"1s" max:"10m"`
}

// Default returns the laptop profile: what runs when nothing is set.
func Default() Config {
	return Config{
		HTTP:      HTTP{Addr: "127.0.0.1:8080", Wait: 2 * time.Second, MaxBody: 64 << 10},
		Data:      Data{Dir: "./data"},
		Bus:       Bus{Kind: "memory", Lanes: 4, LaneCapacity: 4096},
		Kafka:     Kafka{Brokers: []string{"127.0.0.1:9092"}, Partitions: 12, Intake: true, SASL: KafkaSASL{Mechanism: "none"}},
		Agents:    Agents{Heartbeat: 100 * time.Millisecond, StageDeadline: time.Second, Grace: 500 * time.Millisecond, Restart: "governed", MaxZombies: 3},
		Admission: Admission{Window: 10_000},
		Sweep:     Sweep{MinAge: 5 * time.Second, MaxAge: time.Minute},
		Simulate:  Simulate{Rate: 50, OutcomeDelay: 5 * time.Second},
		Source:    Source{Rate: 200, Order: "seeded", TrainShare: 0.5, OutcomeDelay: 5 * time.Second},
		Seed:      1,
		Retention: Retention{Simulated: time.Hour, Applications: 180 * 24 * time.Hour, Every: time.Minute},
		Training:  Training{Rows: 10_000, Trees: 100, Depth: 10},
		MLflow:    MLflow{Experiment: "aura", Every: 5 * time.Second},
		Faults:    Faults{Enabled: true, MaxTTL: 15 * time.Minute},
		Desired:   Desired{Poll: time.Second},
		Monitoring: Monitoring{
			FalseAlarmsMonth: 0.01, Rate: 50, FalseAlarmPerModel: 0.001, AccuracyFloor: 0.8, AccuracyMargin: 0.05, PSI: 0.2, PSIClear: 0.1,
			HeartbeatMissing: 1500 * time.Millisecond,
		},
		Healing:    Healing{Enabled: true},
		Governance: Governance{Profile: "demo", ApprovalTTL: 10 * time.Minute},
		Tracing:    Tracing{Ratio: 0.01},
		Log:        Log{Level: "info", Format: "text"},
		Shutdown:   Shutdown{Timeout: 10 * time.Second},
	}
}
