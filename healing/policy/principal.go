package policy

import (
	"errors"
	"slices"
)

// Role is what a principal may do. Roles don't include one another.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // reads
	Operator Role = "operator" // proposes, pauses, injects faults
	Approver Role = "approver" // decides what somebody else proposed
	Admin    Role = "admin"    // manages tokens and policy; decides nothing
	Ingest   Role = "ingest"   // a lender's system: hands in applications and outcomes, and sees nothing
)

// Principal is an actor with a name: a person, or an agent.
type Principal struct {
	Name  string `json:"name"`
	Roles []Role `json:"roles"`
	Agent bool   `json:"agent"`
}

// LocalPrincipal is everybody on loopback where no tokens are set up.
func LocalPrincipal() Principal {
	return Principal{Name: "local", Roles: []Role{Viewer, Operator, Approver, Admin}}
}

// Reasons to refuse a principal.
var (
	ErrNoName       = errors.New("policy: a principal without a name")
	ErrRole         = errors.New("policy: this role may not do that")
	ErrSelfApproval = errors.New("policy: nobody decides their own proposal")
	ErrAgentDecides = errors.New("policy: an agent can't stand in for a person")
)

// Has reports whether the principal has a role.
func (p Principal) Has(r Role) bool { return slices.Contains(p.Roles, r) }

// MayPropose: agents and operators propose.
func (p Principal) MayPropose() error {
	switch {
	case p.Name == "":
		return ErrNoName
	case p.Agent || p.Has(Operator):
		return nil
	}
	return ErrRole
}

// MayDecide: a person with the approver's role, and never the proposer. It compares principals, not tokens.
func (p Principal) MayDecide(proposer string) error {
	switch {
	case p.Name == "" || proposer == "":
		return ErrNoName
	case p.Name == proposer:
		return ErrSelfApproval
	case p.Agent:
		return ErrAgentDecides
	case !p.Has(Approver):
		return ErrRole
	}
	return nil
}
