package event

import "aura/mlops/schema"

// reader reads what writer has written. Anything else makes it fail, for good.
type reader struct {
	data   string
	pos    int
	failed bool
}

func (r *reader) rawEvent(e *RawEvent) {
	r.subject(&e.Subject)
	r.lit(`,"features":`)
	r.record(&e.Features)
	e.Again = r.has(`,"again":true`)
	r.lit("}")
}

func (r *reader) featuresOnly(e *Features) {
	r.features(e)
	r.lit("}")
}

func (r *reader) features(e *Features) {
	r.subject(&e.Subject)
	r.lit(`,"values":`)
	e.Values = r.vector()
	r.lit(`,"vector":`)
	e.Vector = r.vector()
	e.MinGeneration = r.some(`,"min_generation":`)
}

func (r *reader) prediction(e *Prediction) {
	r.features(&e.Features)
	r.lit(`,"probability_of_default":`)
	e.Probability = r.float()
	if r.has(`,"reasons":`) {
		e.Reasons = r.reasons()
	}
	r.lit(`,"model_version":`)
	e.ModelVersion = r.version()
	r.lit(`,"model_digest":`)
	e.ModelDigest = r.text()
	r.lit(`,"generation":`)
	e.Generation = r.integer()
	e.Shadow = r.has(`,"shadow":true`)
	r.lit("}")
}

func (r *reader) decision(e *Decision) {
	r.subject(&e.Subject)
	r.lit(`,"decision":`)
	e.Decision = schema.Outcome(r.text())
	r.lit(`,"probability_of_default":`)
	if !r.has("null") {
		p := r.float()
		e.Probability = &p
	}
	r.lit(`,"reasons":`)
	e.Reasons = r.reasons()
	if r.has(`,"model_version":`) {
		e.ModelVersion = r.version()
	}
	e.ModelDigest = r.word(`,"model_digest":`)
	e.Generation = r.some(`,"champion_generation":`)
	r.lit(`,"mode":`)
	e.Mode = Mode(r.text())
	r.lit(`,"mode_generation":`)
	e.ModeGeneration = r.integer()
	e.Rule = r.word(`,"rule":`)
	r.lit(`,"decided_at":`)
	e.DecidedAt = r.time()
	r.lit(`,"latency_ms":`)
	e.LatencyMS = r.float()
	e.Incarnation = r.some(`,"incarnation":`)
	r.lit("}")
}

func (r *reader) subject(s *Subject) {
	r.lit(`{"id":`)
	s.ID = r.text()
	r.lit(`,"application_id":`)
	s.ApplicationID = r.text()
	r.lit(`,"accepted_at":`)
	s.AcceptedAt = r.time()
	s.Source = r.word(`,"source":`)
	s.TraceID = r.word(`,"trace_id":`)
}

func (r *reader) reasons() []schema.Reason {
	if r.has("null") {
		return nil
	}
	if r.has("[]") {
		return []schema.Reason{}
	}
	list := make([]schema.Reason, 0, 4)
	for more := r.open("["); more; more = r.more("]") {
		var one schema.Reason
		r.lit(`{"code":`)
		one.Code = r.text()
		r.lit(`,"feature":`)
		one.Feature = r.text()
		r.lit(`,"text":`)
		one.Text = r.text()
		r.lit(`,"contribution":`)
		one.Contribution = r.float()
		r.lit("}")
		list = append(list, one)
	}
	return list
}
