package api

// Reload is what became of reading the configuration again.
type Reload struct {
	Applied     []string `json:"applied" doc:"Keys that changed and are in force for what begins from now on."`
	NeedRestart []string `json:"need_restart" doc:"Keys that changed too, but only a restart takes over."`
	Playbook    string   `json:"playbook" doc:"The digest of the playbook in force."`
	Policy      string   `json:"policy" doc:"Profile, and the digest of profile, rules and limits in force."`
}

// KeyRotation names the key that governance signs with now, and the one before ("" if it is not known).
type KeyRotation struct {
	KeyID    string `json:"key_id"`
	Previous string `json:"previous,omitempty"`
}

// Playbook is what may be tried for each kind of incident, as configured.
type Playbook struct {
	Digest  string           `json:"digest"`
	Policy  string           `json:"policy"`
	Profile string           `json:"profile" doc:"Of governance: demo, supervised, off."`
	Items   []PlaybookLadder `json:"items"`
}

// PlaybookLadder is the ladder of one kind of incident.
type PlaybookLadder struct {
	Type  string         `json:"incident_type"`
	Rungs []PlaybookRung `json:"rungs"`
}

// PlaybookRung is one step of a ladder.
type PlaybookRung struct {
	Action        string              `json:"action"`
	Params        map[string]string   `json:"params,omitempty"`
	Requires      []string            `json:"requires,omitempty"`
	Verification  string              `json:"verification"`
	Then          map[string][]string `json:"then,omitempty" doc:"What follows in the same rung, by outcome."`
	Protect       bool                `json:"protect,omitempty"`
	ExecuteWithin string              `json:"execute_within,omitempty"`
	VerifyWithin  string              `json:"verify_within,omitempty"`
	Dwell         string              `json:"dwell,omitempty"`
	Cooldown      string              `json:"cooldown,omitempty"`
}

// Ranking is the ladder with which the next incident of one class would begin, and why.
type Ranking struct {
	Type   string       `json:"incident_type"`
	Class  string       `json:"class" doc:"The fingerprint of incidents that are alike."`
	Reason string       `json:"order_reason"`
	Rungs  []RankedRung `json:"rungs"`
}

// RankedRung is a rung at its place.
type RankedRung struct {
	Action string `json:"action_type"`
	Why    string `json:"why"`
}
