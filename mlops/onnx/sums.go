package onnx

import (
	"fmt"
	"slices"

	"aura/mlops/ensemble"
)

// classifier says how the sums of a binary classifier make the probability of its bad class, as onnxruntime does.
func (t *treeTable) classifier(bad, label string) (ensemble.Spec, error) {
	spec := ensemble.Spec{Divisor: 1}
	if t.average {
		return spec, &Refused{t.path + ".aggregate_function", "a classifier has none", again}
	}
	if len(t.labels) != 2 {
		return spec, &Refused{t.path + ".classlabels", fmt.Sprintf("%d classes, must be 2", len(t.labels)), "train it on outcomes with two values"}
	}
	named := bad
	if named == "" {
		named = label
	}
	which := slices.Index(t.labels, named)
	if which < 0 || t.labels[0] == t.labels[1] {
		return spec, &Refused{t.path + ".classlabels", fmt.Sprintf("none of the classes %.64q is %q, which means default", t.labels, named), "name the class that does by --bad"}
	}
	ids := map[int64]bool{}
	positive := true
	for i, id := range t.leafTargets {
		ids[id] = true
		positive = positive && t.weights[i] >= 0
	}
	both := ids[0] && ids[1]
	switch {
	case len(ids) == 0 || len(ids) > 2 || len(ids) == 2 && !both || len(ids) == 1 && !ids[0] && !ids[1]:
		return spec, damaged(t.path+".class_ids", "other classes than 0 and 1")
	case t.post == "NONE" && both && len(t.base) == 0:
		t.wanted = func(id int64) bool { return id == int64(which) } // a weight a class: that of the bad one is what counts
		t.column = which
		return spec, nil
	case t.post == "NONE" && both:
		return spec, &Refused{t.path + ".base_values", "base values beside two weights a leaf: runtimes differ about them", "export with another version of the converter"}
	case len(t.base) > 1 || len(t.base) == 1 && ids[1]:
		return spec, &Refused{t.path + ".base_values", "they don't belong to the class that the leaves speak for: runtimes differ about them", "export with another version of the converter"}
	case t.post == "NONE" && positive:
	case t.post == "NONE":
		return spec, &Refused{t.path + ".post_transform", "there is none, and the leaves hold no probabilities", "export a model that gives probabilities"}
	case t.post == "LOGISTIC" && !both && !positive:
		spec.Logistic = true
	case t.post == "LOGISTIC":
		return spec, &Refused{t.path + ".post_transform", "LOGISTIC with two weights a leaf, or without a negative one: runtimes differ about it", "export with another version of the converter"}
	default:
		return spec, &Refused{t.path + ".post_transform", fmt.Sprintf("%.32q is neither NONE nor LOGISTIC", t.post), "export a binary model with its usual objective"}
	}
	t.column = 1
	if len(t.base) == 1 {
		spec.Base = t.base[0]
	}
	if which == 0 { // the sum speaks for the second class
		t.negate = true
		spec.Base = -spec.Base
		if !spec.Logistic {
			spec.Base++
		}
	}
	return spec, nil
}

// regressor says how the sums of a regressor make a probability.
func (t *treeTable) regressor(bad string) (ensemble.Spec, error) {
	spec := ensemble.Spec{Divisor: 1, Logistic: t.post == "LOGISTIC"}
	switch {
	case bad != "":
		return spec, &Refused{"bad", "a regressor has no classes: what it gives is taken for the probability of default", "leave it out"}
	case t.targets != 1:
		return spec, &Refused{t.path + ".n_targets", fmt.Sprintf("%d, must be 1", t.targets), "export a model with one output"}
	case len(t.base) > 1:
		return spec, damaged(t.path+".base_values", "%d of them, must be one at most", len(t.base))
	case t.post != "NONE" && t.post != "LOGISTIC":
		return spec, &Refused{t.path + ".post_transform", fmt.Sprintf("%.32q is neither NONE nor LOGISTIC", t.post), "export a model that gives probabilities"}
	case slices.ContainsFunc(t.leafTargets, func(id int64) bool { return id != 0 }):
		return spec, damaged(t.path+".target_ids", "other targets than 0")
	}
	if len(t.base) == 1 {
		spec.Base = t.base[0]
	}
	if t.average {
		trees := map[int64]bool{}
		for _, id := range t.trees {
			trees[id] = true
		}
		spec.Divisor = float64(len(trees))
	}
	return spec, nil
}
