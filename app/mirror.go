package app

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aura/agents/desired"
	"aura/app/config"
	"aura/mlops/registry"
	"aura/mlops/registry/mlflow"
	"aura/mlops/schema"
	"aura/store/complaint"
	"aura/web/api"
)

// mirrorer is who promotes what somebody made the champion in MLflow.
const mirrorer = "mlflow"

// mirror keeps an MLflow server's registry equal to ours, if one is configured.
type mirror struct {
	*mlflow.Mirror // nil without a server
	every          time.Duration
	leads          func(context.Context) bool // nil for always
	leading        atomic.Bool
	kick           chan struct{}
	log            *slog.Logger
	failing        complaint.Log
}

func newMirror(cfg config.Config, r *registry.Registry, models *modelsBackend, sch *schema.Schema, view *desired.View, tel *telemetry, lead *leaders, now clock, log *slog.Logger) (*mirror, error) {
	m := &mirror{every: cfg.MLflow.Every, kick: make(chan struct{}, 1), log: log.With("component", "mlflow")}
	models.mirror = m
	tel.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aura_mlflow_behind", Help: "1 while MLflow lacks a version or an alias, or can't be asked; 0 also where none is configured, or another process mirrors.",
	}, func() float64 {
		s := m.status()
		return oneIf(s != nil && !s.Equal && !s.Elsewhere)
	}))
	if cfg.MLflow.URL == "" {
		return m, nil
	}
	m.leads = lead.of(leadMirror)
	m.leading.Store(m.leads == nil)
	c, err := newMLflow(cfg)
	if err != nil {
		return nil, err
	}
	m.Mirror = mlflow.NewMirror(mlflow.Options{
		Client: c, Registry: r, Model: cmp.Or(cfg.MLflow.Model, sch.Name), Experiment: cfg.MLflow.Experiment, Now: now, Log: log,
		Export: (*registry.Model).Served,
		Promote: func(ctx context.Context, version int, reason string) error {
			generation, err := r.Promote(ctx, version, mirrorer, reason)
			if err != nil {
				return err
			}
			_, err = models.switched(ctx, generation)
			return err
		},
	})
	view.OnChange(func(_ context.Context, before, after desired.State) {
		if before.ChampionGeneration != after.ChampionGeneration {
			select {
			case m.kick <- struct{}{}:
			default: // it is kicked already
			}
		}
	})
	return m, nil
}

func newMLflow(cfg config.Config) (*mlflow.Client, error) {
	c, err := mlflow.NewClient(cfg.MLflow.URL, mlflow.Credentials{Username: cfg.MLflow.Username, Password: cfg.MLflow.Password, Token: cfg.MLflow.Token}, 0)
	if err != nil {
		return nil, refuse("mlflow.url: %v", err)
	}
	return c, nil
}

// syncWithin bounds one Sync: a first one uploads every version.
const syncWithin = 5 * time.Minute

// run keeps the server equal, soon after each change of the champion and now and then, until ctx ends.
func (m *mirror) run(ctx context.Context) {
	if m.Mirror == nil {
		return
	}
	t := time.NewTicker(m.every)
	defer t.Stop()
	for {
		if m.leads != nil {
			m.leading.Store(m.leads(ctx))
		}
		if m.leading.Load() {
			m.once(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		case <-t.C:
		}
	}
}

func (m *mirror) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	if err := m.Sync(ctx); err != nil && ctx.Err() == nil {
		m.failing.Say(m.log, slog.LevelWarn, "MLflow doesn't have all of the registry; decisions don't need it, and it is tried again", "err", err)
	}
}

// settled asks for comparisons and waits until one that began after the call has found the server equal, or ctx ends. It
// returns what is known then.
func (m *mirror) settled(ctx context.Context) *api.Mirror {
	if m.Mirror == nil {
		return nil
	}
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	first := m.Status().At
	second := first
	for {
		select {
		case m.kick <- struct{}{}:
		default: // it is kicked already
		}
		select {
		case <-ctx.Done():
			return m.status()
		case <-t.C: // a comparison tells nobody that it has ended
		}
		switch s := m.Status(); {
		case s.At.Equal(first):
		case second.Equal(first):
			second = s.At // it may have begun before
		case !s.At.Equal(second) && s.Problem == "":
			return m.status()
		}
	}
}

// status is what people see of it; nil without a server.
func (m *mirror) status() *api.Mirror {
	if m.Mirror == nil {
		return nil
	}
	if !m.leading.Load() {
		return &api.Mirror{Address: m.Address(), Elsewhere: true}
	}
	s := m.Status()
	return &api.Mirror{Address: m.Address(), Equal: !s.At.IsZero() && s.Problem == "", Problem: s.Problem, EqualAt: s.Good, Versions: s.Versions, Missing: s.Missing}
}
