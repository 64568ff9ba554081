package detect

import (
	"fmt"
	"strings"
	"time"
)

// Words says what was seen: for a person, with the numbers and what they are held against.
func (s Signal) Words() string {
	switch s.Kind {
	case LatencyBreach:
		return s.latencyWords()
	case PerfDrop:
		if s.N == 0 {
			return "no outcomes"
		}
		return fmt.Sprintf("an accuracy of %.3f against a floor of %.3f, on %d outcomes", s.Value, s.Threshold, s.N)
	case DataDrift:
		return s.driftWords()
	case AgentDown:
		return s.agentWords()
	case BusDown:
		return s.busWords()
	}
	return fmt.Sprintf("%g against %g", s.Value, s.Threshold)
}

func (s Signal) latencyWords() string {
	if s.N == 0 {
		return "no decisions"
	}
	text := fmt.Sprintf("a median of %s against %s, %.0f of %d decisions late", spoken(s.Value), spoken(s.Threshold), s.number("slow"), s.N)
	if n := s.number("in_flight_past_slo"); n > 0 {
		text += fmt.Sprintf(", %.0f not made yet", n)
	}
	return text
}

func (s Signal) driftWords() string {
	of := "values of " + s.Target
	if s.Target == TargetScore {
		of = "scores of the model"
	}
	if s.N == 0 {
		return "no " + of
	}
	text := fmt.Sprintf("a PSI of %.3f against %.3g, on %d %s", s.Value, s.Threshold, s.N, of)
	if s.Bug != nil {
		return "a data bug, " + s.Bug.String() + ": " + text
	}
	return text
}

func (s Signal) agentWords() string {
	why := ""
	if detail := s.text("detail"); detail != "" {
		why = ": " + detail
	}
	if instance, is := ProcessOf(s.Target); is {
		return s.processWords(instance)
	}
	agent := "the " + s.Target + " agent"
	switch cause := s.text("cause"); cause {
	case "":
		if reason := s.text("reason"); reason != "" {
			return agent + " was " + reason
		}
		return fmt.Sprintf("a beat of %s %.1f s ago, at most %.3g s", agent, s.Value, s.Threshold)
	case downMissing:
		return fmt.Sprintf("no beat of %s for %.1f s against %.3g s", agent, s.Value, s.Threshold)
	case AgentGone:
		return fmt.Sprintf("no instance of %s is left, the last one's process %s is silent for %.1f s", agent, s.text("instance"), s.Value)
	case downFailing:
		return fmt.Sprintf("%.0f of %d attempts of %s failed in %v, more than %.0f %%", s.number("failures"), s.N, agent, s.Window, 100*s.number("fail_share"))
	case AgentHung:
		return fmt.Sprintf("%s hangs%s, since %.1f s against a deadline of %s", agent, why, s.number("down_for_s"), spoken(s.number("deadline_ms")))
	case AgentCrashed:
		return agent + " has crashed" + why
	case AgentQuarantined:
		return agent + " is quarantined" + why
	default:
		return agent + " makes " + cause
	}
}

// processWords tells whether what it ran goes on elsewhere.
func (s Signal) processWords(instance string) string {
	switch {
	case s.text("cause") != "":
	case len(s.list(evidenceAgents)) == 0:
		return "process " + instance + " has ended in order, and others have its part"
	default:
		return "process " + instance + " is heard"
	}
	text := fmt.Sprintf("process %s is silent for %.1f s against %.3g s", instance, s.Value, s.Threshold)
	if alone := s.list("not_elsewhere"); len(alone) > 0 {
		return text + "; of " + strings.Join(alone, ", ") + " no other instance runs"
	}
	return text + "; of each of its agents (" + strings.Join(s.list(evidenceAgents), ", ") + ") another instance runs"
}

// list is one of the evidence, in this process or read back.
func (s Signal) list(name string) (out []string) {
	switch v := s.Evidence[name].(type) {
	case []string:
		return v
	case []any:
		for _, x := range v {
			text, _ := x.(string)
			out = append(out, text)
		}
	}
	return out
}

func (s Signal) busWords() string {
	cause := s.text("cause")
	switch {
	case cause == "":
		return fmt.Sprintf("monitoring's own beat %.1f s ago, at most %.3g s", s.Value, s.Threshold)
	case s.Target == TargetMonitoring:
		return cause // it has its numbers
	}
	return fmt.Sprintf("%s for %.1f s against %.3g s", cause, s.Value, s.Threshold)
}

// spoken is a time in ms, in seconds where it is long.
func spoken(ms float64) string {
	if ms >= 1e4 {
		return fmt.Sprintf("%.1f s", ms/1e3)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func (s Signal) text(name string) string {
	text, _ := s.Evidence[name].(string)
	return text
}

// texts is a list of the evidence, in this process or read back.
func (s Signal) texts(name string) []string {
	if list, ok := s.Evidence[name].([]string); ok {
		return list
	}
	read, _ := s.Evidence[name].([]any)
	list := make([]string, 0, len(read))
	for _, v := range read {
		if text, ok := v.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

// number is one of the evidence, in this process or read back.
func (s Signal) number(name string) float64 {
	switch v := s.Evidence[name].(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case int:
		return float64(v)
	}
	return 0
}

// pausedText says how long monitoring itself did not step.
func pausedText(gap, limit time.Duration) string {
	return fmt.Sprintf("monitoring itself paused for %v against %v", gap.Round(time.Millisecond), limit)
}
