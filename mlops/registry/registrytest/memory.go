package registrytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"aura/mlops/registry"
)

// Memory is a Repository in memory.
type Memory struct {
	mu         sync.Mutex
	versions   map[int]registry.Version
	aliases    map[string]int
	history    []registry.AliasChange
	generation int64
	files      map[string][]byte
	// Shared has it keep files, as a repository of several directories does.
	Shared bool
	// Fail, if not nil, is asked before each write and before File, by its name, and its error returned.
	Fail func(operation string) error
}

// NewMemory returns an empty repository.
func NewMemory() *Memory {
	return &Memory{versions: make(map[int]registry.Version), aliases: make(map[string]int), files: make(map[string][]byte)}
}

func (m *Memory) fail(operation string) error {
	if m.Fail == nil {
		return nil
	}
	return m.Fail(operation)
}

// CreateVersion implements registry.Repository.
func (m *Memory) CreateVersion(_ context.Context, v registry.Version) (registry.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("CreateVersion"); err != nil {
		return registry.Version{}, err
	}
	if _, taken := m.versions[v.Number]; taken {
		return registry.Version{}, registry.ErrTaken
	}
	m.versions[v.Number] = v
	return v, nil
}

// Version implements registry.Repository.
func (m *Memory) Version(_ context.Context, number int) (registry.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.versions[number]
	if !ok {
		return v, registry.ErrNotFound
	}
	return v, nil
}

// SaveFile implements registry.Repository.
func (m *Memory) SaveFile(_ context.Context, digest string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("SaveFile"); err != nil || !m.Shared {
		return err
	}
	m.files[digest] = slices.Clone(data)
	return nil
}

// File implements registry.Repository.
func (m *Memory) File(_ context.Context, digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("File"); err != nil {
		return nil, err
	}
	data, ok := m.files[digest]
	if !ok {
		return nil, registry.ErrNotFound
	}
	return slices.Clone(data), nil
}

// Unsaved implements registry.Repository.
func (m *Memory) Unsaved(context.Context) (list []registry.Version, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(m.versions)) {
		if _, kept := m.files[m.versions[n].Digest]; m.Shared && !kept {
			list = append(list, m.versions[n])
		}
	}
	return list, nil
}

// Versions implements registry.Repository.
func (m *Memory) Versions(_ context.Context, limit, before int) ([]registry.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []registry.Version
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(m.versions))) {
		if (before == 0 || n < before) && len(list) < limit {
			list = append(list, m.versions[n])
		}
	}
	return list, nil
}

// Aliases implements registry.Repository.
func (m *Memory) Aliases(context.Context) (map[string]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.aliases), nil
}

// SetAliases implements registry.Repository.
func (m *Memory) SetAliases(_ context.Context, changes, seen map[string]int, by, reason string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("SetAliases"); err != nil {
		return 0, err
	}
	if seen != nil && !maps.Equal(m.aliases, seen) {
		return 0, registry.ErrMoved
	}
	for alias, version := range changes {
		if _, ok := m.versions[version]; !ok && version != 0 {
			return 0, fmt.Errorf("%s: %w", alias, registry.ErrNotFound)
		}
	}
	if version, ok := changes[registry.Champion]; ok && version != m.aliases[registry.Champion] {
		m.generation++
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	for _, alias := range slices.Sorted(maps.Keys(changes)) {
		if changes[alias] == m.aliases[alias] {
			continue
		}
		m.history = append(m.history, registry.AliasChange{
			Alias: alias, Version: changes[alias], Previous: m.aliases[alias], Generation: m.generation, By: by, Reason: reason, At: at,
		})
		if m.aliases[alias] = changes[alias]; changes[alias] == 0 {
			delete(m.aliases, alias)
		}
	}
	return m.generation, nil
}

// AliasHistory implements registry.Repository.
func (m *Memory) AliasHistory(_ context.Context, limit int) ([]registry.AliasChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.history)
	slices.Reverse(list)
	return list[:min(limit, len(list))], nil
}
