package bus_test

import (
	"testing"

	"aura/agents/bus"
	"aura/agents/bus/bustest"
)

func TestLanesMemory(t *testing.T) {
	bustest.Run(t, func(testing.TB) bus.Transport { return bus.NewMemory(bus.MemoryOptions{}) },
		bustest.Features{Ordered: true, Bounded: true, Holds: true})
}

func TestLanesGoChannel(t *testing.T) {
	bustest.Run(t, func(testing.TB) bus.Transport { return bus.NewGoChannel(bus.MemoryOptions{}) },
		bustest.Features{Slow: true})
}
