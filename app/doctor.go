package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"aura/app/cli"
	"aura/app/config"
	"aura/app/doctor"
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
		doctor.Probe{Part: "server", Look: p.server}, doctor.Probe{Part: "store", Look: p.store}, doctor.Probe{Part: "model", Look: p.model}, doctor.Probe{Part: "key", Look: p.key},
		doctor.Probe{Part: "bus", Look: p.bus}, doctor.Probe{Part: "MLflow", Look: p.mlflow}, doctor.Probe{Part: "webhook", Look: p.webhook},
		doctor.Probe{Part: "tracing", Look: p.tracing}, doctor.Probe{Part: "Prometheus", Look: p.prom},
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
