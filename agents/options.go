package agents

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"aura/agents/bus"
	"aura/agents/tracing"
)

// RestartPolicy says who starts the next life of an agent.
type RestartPolicy string

// RestartAuto installs the next life at once, and with a growing delay where lives keep crashing. RestartGoverned
// leaves it to whoever holds healing's lease (who calls Restart), and falls back to auto while nobody does.
const (
	RestartAuto     RestartPolicy = "auto"
	RestartGoverned RestartPolicy = "governed"
)

// Options of a Supervisor. Zero values mean the defaults in parentheses.
type Options struct {
	Transport    bus.Transport
	Incarnations Incarnations
	// Injector may be nil: no faults.
	Injector Injector
	Logger   *slog.Logger
	// Tracer may be nil: no spans.
	Tracer *tracing.Tracer
	// Instance names this process ("local"); it is the key of the heartbeats.
	Instance string
	// StageDeadline is how long one event may take before its context is cancelled (1 s). It doubles with each slow
	// event of the lane, up to MaxDeadline (30 s), and shrinks again when handlers are quick.
	StageDeadline, MaxDeadline time.Duration
	// Grace is how long a handler has to return after the cancel, and an old life to hand over a lane (500 ms).
	Grace time.Duration
	// Heartbeat is the length of a slot (100 ms).
	Heartbeat time.Duration
	// BatchLimit bounds what a loop takes at once (2,000).
	BatchLimit int
	// Restart is the policy (auto); Governed reports whether somebody holds healing's lease.
	Restart  RestartPolicy
	Governed func() bool
	// MaxZombies is how many abandoned lives may still have goroutines running (3).
	MaxZombies int
	// AfterUncleanExit makes lanes begin with batches of 1, until what may have ended the process is behind them.
	AfterUncleanExit bool
}

func (o *Options) complete() error {
	if o.Transport == nil || o.Incarnations == nil {
		return errors.New("agents: a supervisor needs a transport and incarnation numbers")
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler)).With("component", "supervisor")
	o.Instance = cmp.Or(o.Instance, "local")
	o.StageDeadline = cmp.Or(o.StageDeadline, time.Second)
	o.MaxDeadline = max(cmp.Or(o.MaxDeadline, 30*time.Second), o.StageDeadline)
	o.Grace = cmp.Or(o.Grace, 500*time.Millisecond)
	o.Heartbeat = cmp.Or(o.Heartbeat, 100*time.Millisecond)
	o.BatchLimit = cmp.Or(o.BatchLimit, 2000)
	o.Restart = cmp.Or(o.Restart, RestartAuto)
	o.MaxZombies = cmp.Or(o.MaxZombies, 3)
	if o.Restart != RestartAuto && o.Restart != RestartGoverned {
		return errors.New("agents: restart is auto or governed, not " + string(o.Restart))
	}
	return nil
}

// Errors of Restart and Add; they are refusals, nothing is broken.
var (
	// ErrUnknownAgent names an agent that this supervisor doesn't run.
	ErrUnknownAgent = errors.New("agents: no such agent here")
	// ErrNotRunning means that the supervisor has not been started or is stopping.
	ErrNotRunning = errors.New("agents: the supervisor is not running")
	// ErrQuarantined means that too many abandoned lives of the agent still run; one must end first (stop the fault that
	// holds them) or the process must be restarted.
	ErrQuarantined = errors.New("agents: too many abandoned lives still run")
)
