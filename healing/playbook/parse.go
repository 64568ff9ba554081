package playbook

import (
	"errors"

	"aura/healing/strict"
)

// Parse reads the playbooks' YAML subtree: a map from incident kind to ladder. A kind that is left out keeps its default
// ladder; one that is given replaces it whole. Unknown keys are errors. The error is a *FieldError.
func Parse(raw []byte) (Playbook, error) {
	given := Playbook{}
	if err := strict.Decode(raw, &given); err != nil {
		var form *strict.Error
		errors.As(err, &form)
		return nil, &FieldError{form.Field, form.Problem, form.Remedy}
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
