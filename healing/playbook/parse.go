package playbook

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Parse reads the playbooks' YAML subtree: a map from incident kind to ladder. A kind that is left out keeps its default
// ladder; one that is given replaces it whole. Unknown keys are errors. The error is a *FieldError, or says which line of
// the text is no such map.
func Parse(raw []byte) (Playbook, error) {
	given := Playbook{}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&given); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("playbooks: %w; give for each incident kind a list of rungs with action and verification", err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("playbooks: more than one document; give one")
	}
	p := Default()
	for kind, rungs := range given {
		p[kind] = rungs
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}
