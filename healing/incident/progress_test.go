package incident

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAnActionTellsHowFarItIs: each new text is a line of the timeline and of the audit, changes neither state nor deadline, and
// there are so many at most. What comes too late, or of another action, is not written.
func TestAnActionTellsHowFarItIs(t *testing.T) {
	s := opened(t, PerfDrop, randomLadders[PerfDrop][2:]).wait(time.Second).sig(Confirmed).decide(AGLApproved).is(Executing, StatusMitigating)
	tell := func(text string) *script {
		return s.wait(time.Second).step(Event{Type: EvProgress, ActionID: s.in.Actions[0].ID, Reason: text})
	}
	deadline, lines := s.in.DeadlineAt, len(s.in.Timeline)
	tell("120 of 500 outcomes").is(Executing, StatusMitigating)
	if e := s.in.Timeline[lines]; e.Text != "TRIGGER_RETRAINING: 120 of 500 outcomes" || e.ActionID != s.in.CurrentID || s.in.Actions[0].Progress != "120 of 500 outcomes" {
		t.Errorf("%+v, %+v", e, s.in.Actions[0])
	}
	if len(s.fx) != 1 || s.fx[0].Type != FxLog || !s.in.DeadlineAt.Equal(deadline) {
		t.Errorf("effects %+v, deadline %v, was %v", s.fx, s.in.DeadlineAt, deadline)
	}
	tell("120 of 500 outcomes")
	s.step(Event{Type: EvProgress, ActionID: "i1/a9", Reason: "of another"})
	if len(s.in.Timeline) != lines+1 {
		t.Errorf("%+v", s.in.Timeline[lines:])
	}
	for i := range 2 * maxProgress {
		tell(fmt.Sprint(i, strings.Repeat("x", maxProgressText)))
	}
	if n := len(s.in.Timeline) - lines; n != maxProgress || len([]rune(s.in.Actions[0].Progress)) != maxProgressText {
		t.Errorf("%d lines, the last of %d characters", n, len(s.in.Actions[0].Progress))
	}
	s.sig(Confirmed).succeed("none")
	lines = len(s.in.Timeline)
	if tell("too late"); len(s.in.Timeline) != lines {
		t.Errorf("%+v", s.in.Timeline[lines:])
	}
}
