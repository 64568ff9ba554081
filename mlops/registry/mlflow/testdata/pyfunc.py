"""Loads models:/NAME@champion as a Python user does and scores rows: CSV with a header in, one "label vote" a line out."""

import sys

import mlflow
import pandas as pd

uri, name = sys.argv[1:3]
mlflow.set_tracking_uri(uri)
frame = pd.read_csv(sys.stdin, dtype=float)
out = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(frame)
version = mlflow.MlflowClient().get_model_version_by_alias(name, "champion")
run = mlflow.get_run(version.run_id)
print(version.version, run.info.status, run.data.metrics["holdout_auc"], run.data.params["data_digest"], run.inputs.dataset_inputs[0].dataset.digest)
for label, vote in zip(out["label"], out["vote"]):
    print(int(label), float(vote).hex())
