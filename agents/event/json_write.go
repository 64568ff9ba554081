package event

import (
	"bytes"

	"aura/mlops/schema"
)

// writer appends JSON. odd says that something came which only encoding/json writes.
type writer struct {
	b   []byte
	odd bool
}

func (w *writer) rawEvent(e *RawEvent) {
	w.subject(&e.Subject)
	w.lit(`,"features":`)
	begin := len(w.b)
	w.value(e.Features.AppendJSON(w.b))
	w.odd = w.odd || bytes.IndexByte(w.b[begin:], lineSeparator) >= 0
	w.yes(`,"again":`, e.Again)
	w.lit("}")
}

func (w *writer) features(e *Features) {
	w.subject(&e.Subject)
	w.vector(`,"values":`, e.Values)
	w.vector(`,"vector":`, e.Vector)
	w.some(`,"min_generation":`, e.MinGeneration)
}

func (w *writer) prediction(e *Prediction) {
	w.features(&e.Features)
	w.float(`,"probability_of_default":`, e.Probability)
	if len(e.Reasons) > 0 {
		w.reasons(e.Reasons)
	}
	w.integer(`,"model_version":`, int64(e.ModelVersion))
	w.text(`,"model_digest":`, e.ModelDigest)
	w.integer(`,"generation":`, e.Generation)
	w.yes(`,"shadow":`, e.Shadow)
	w.lit("}")
}

func (w *writer) decision(e *Decision) {
	w.subject(&e.Subject)
	w.text(`,"decision":`, string(e.Decision))
	if e.Probability == nil {
		w.lit(`,"probability_of_default":null`)
	} else {
		w.float(`,"probability_of_default":`, *e.Probability)
	}
	w.reasons(e.Reasons)
	w.some(`,"model_version":`, int64(e.ModelVersion))
	w.word(`,"model_digest":`, e.ModelDigest)
	w.some(`,"champion_generation":`, e.Generation)
	w.text(`,"mode":`, string(e.Mode))
	w.integer(`,"mode_generation":`, e.ModeGeneration)
	w.word(`,"rule":`, e.Rule)
	w.time(`,"decided_at":`, e.DecidedAt)
	w.float(`,"latency_ms":`, e.LatencyMS)
	w.some(`,"incarnation":`, e.Incarnation)
	w.lit("}")
}

func (w *writer) subject(s *Subject) {
	w.text(`{"id":`, s.ID)
	w.text(`,"application_id":`, s.ApplicationID)
	w.time(`,"accepted_at":`, s.AcceptedAt)
	w.word(`,"source":`, s.Source)
	w.word(`,"trace_id":`, s.TraceID)
}

func (w *writer) reasons(list []schema.Reason) {
	if list == nil {
		w.lit(`,"reasons":null`)
		return
	}
	w.lit(`,"reasons":[`)
	for i := range list {
		if i > 0 {
			w.lit(",")
		}
		w.text(`{"code":`, list[i].Code)
		w.text(`,"feature":`, list[i].Feature)
		w.text(`,"text":`, list[i].Text)
		w.float(`,"contribution":`, list[i].Contribution)
		w.lit("}")
	}
	w.lit("]")
}
