// Package mlflow mirrors a registry in an MLflow 3 server: each version as a run with its figures and a logged model with its
// files, and the aliases as aliases of a registered model. A promotion made in MLflow's own UI comes back as one of ours.
//
// It owns the REST client, the layout of what is written there, and the rule by which aliases are compared. The registry and
// its rows stay the home of what is in charge: a mirror that lags or a server that is down changes no decision, and what was
// missed is written when it is back. It imports mlops/{registry,schema,onnx} and the standard library.
//
// Ordering: the model version is created last, after its run and its files, so that a version that can be seen is whole; what
// a crash leaves before that is marked as failed and written anew. Of two versions the lower number comes first.
//
// Blocking: all calls obey their context, and no single one lasts longer than the client's timeout. A Client may be used
// from any number of goroutines, a Mirror by one at a time. Tests run against a server made here that answers as MLflow does and,
// in `.ci/run mlflow`, against the real one.
package mlflow
