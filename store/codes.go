package store

// The codes of Refused that concern healing.
const (
	// CodeStaleEpoch: another holder has the lease now; the caller must stop.
	CodeStaleEpoch = "stale_epoch"
	// CodeLeaseHeld: somebody else holds the lease.
	CodeLeaseHeld = "lease_held"
	// CodeConflict: the row has changed since it was loaded, or is there already with other content.
	CodeConflict = "conflict"
	// CodeIncidentOpen: another incident of the same fingerprint is open.
	CodeIncidentOpen = "incident_open"
	// CodeLate: the request is decided, answered, withdrawn or expired.
	CodeLate = "late"
	// CodeKey: what is signed is signed with a key that is not in force.
	CodeKey = "key"
	// CodeReplayed: the nonce was used before.
	CodeReplayed = "replayed"
	// CodeUnknownReference: there is no such reference.
	CodeUnknownReference = "unknown_reference"
	// CodeQuery: the query is no single read-only statement, or is wrong.
	CodeQuery = "query"
	// CodeQueryLimit: the query ran longer than it may.
	CodeQueryLimit = "query_limit"
)
