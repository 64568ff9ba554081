package app

import (
	"context"
	"slices"
	"strconv"

	"aura/agents/monitoring"
	"aura/healing/detect"
	"aura/mlops/schema"
	"aura/web/api"
)

// signalsBackend answers for what monitoring says; nil monitoring says nothing.
type signalsBackend struct {
	monitoring *monitoring.Monitoring
	schema     *schema.Schema
}

// Signals implements api.Signals.
func (b *signalsBackend) Signals(context.Context) (api.SignalReport, error) {
	r := b.monitoring.Report()
	blind, _ := b.monitoring.Look(now(), blindAfter)
	out := api.SignalReport{
		At: r.At, Mode: r.Mode, Champion: r.Champion, DetectorThreshold: r.Threshold, Blind: blind, Items: make([]api.Signal, len(r.Signals)),
	}
	causes := map[string]string{}
	for _, c := range r.Causes {
		causes[c.Signal.Fingerprint()] = c.Of
	}
	histograms := b.monitoring.Histograms()
	for i, s := range r.Signals {
		out.Items[i] = signalOf(s)
		out.Items[i].CauseOf = causes[s.Fingerprint()]
		if h, ok := histograms[s.Target]; ok && s.Kind == detect.DataDrift {
			out.Items[i].Histogram = &api.Histogram{Bins: b.named(s.Target, h.Bins), Reference: h.Reference, Now: h.Now, N: h.N}
		}
	}
	return out, nil
}

// named puts the names of a feature's categories in the place of their codes.
func (b *signalsBackend) named(feature string, bins []string) []string {
	i := b.schema.Index(feature)
	if i < 0 || b.schema.Features[i].Kind != schema.Categorical {
		return bins
	}
	out := slices.Clone(bins)
	for n, bin := range out {
		if code, err := strconv.Atoi(bin); err == nil && code >= 0 && code < len(b.schema.Features[i].Categories) {
			out[n] = b.schema.Features[i].Categories[code]
		}
	}
	return out
}

// units of the kinds' values.
var units = map[detect.Kind]string{
	detect.LatencyBreach: "ms", detect.PerfDrop: "share", detect.DataDrift: "PSI", detect.AgentDown: "s", detect.BusDown: "s",
}

func signalOf(s detect.Signal) api.Signal {
	out := api.Signal{
		Kind: string(s.Kind), Target: s.Target, State: string(s.State), Value: s.Value, Threshold: s.Threshold, Unit: units[s.Kind],
		N: s.N, WindowS: s.Window.Seconds(), Since: s.Since, OnsetAt: s.Onset, Evidence: s.Evidence,
	}
	if s.Bug != nil {
		out.Bug = s.Bug.String()
	}
	return out
}
