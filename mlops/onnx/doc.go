// Package onnx writes AURA's forests as ONNX and reads tree ensembles from it.
//
// It owns the encoding of a forest (Export), what it takes of other tools' files (Import), and the few protobuf messages that
// both need; the wire format is protowire's. It imports mlops/{schema,forest,ensemble} and knows no registry and no files.
//
// An exported model takes an application's features in the schema's own units, one float32 a model input in the schema's order
// (a category as its index, NaN for missing): the schema's transforms have gone into the thresholds. It gives `vote`, the mean
// vote of the trees, equal to the bit to Forest.Raw for every float32 row; `probability`, calibrated, equal to Score up
// to the last bits of exp and log; and `label`, 1 where that is 0.5 or more. Each as [N,1], as MLflow's python_function wants them.
// A number that is no float32 number is rounded to one first; AURA itself rounds it after the schema's transform.
//
// How: TreeEnsembleRegressor (ai.onnx.ml 3) over at most 128 trees each, whose leaves are integers in units of 2^-17, so that
// their sum in float32 is exact in any order; what follows is float64. A numeric test is BRANCH_LEQ; one of categories is a
// chain of BRANCH_EQ over the categories of the side that a missing value does not take, so that one that is unknown takes it too.
//
// Nothing here blocks or keeps state. Files from outside are bounded (MaxBytes and others) and refused by the field that can't be
// used, with what to do; nothing is approximated. Tests read back what they write; `.ci/run onnx` compares with the real
// onnxruntime, MLflow, scikit-learn, LightGBM and XGBoost.
package onnx
