package app

// Parts shows a test what an App is made of, so that it can submit without HTTP, listen to the bus, or publish what no
// agent would.
func (a *App) Parts() Parts { return a.parts }

// Parts is what an App is made of.
type Parts = parts

// Pipeline names the agents that an application passes.
var Pipeline = pipeline

// LadderOf shows each rung with what became of it.
var LadderOf = ladderOf

// StepsOf tells an incident as the six steps.
var StepsOf = stepsOf

// Watched is watched.
var Watched = watched
