package event

// Read is the part of Unmarshal that is done by hand.
var Read = read
