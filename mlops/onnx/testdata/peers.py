"""The real tools that the tests of mlops/onnx compare with.

    peers.py votes MODEL.onnx ROWS OUT   scores float32 rows by onnxruntime and by MLflow's python_function
    peers.py models ROWS LABELS DIR      trains models of scikit-learn, LightGBM and XGBoost, exports and scores them
    peers.py modes DIR                   a tree of each test that ONNX has, and what onnxruntime makes of it

Numbers go through files: little endian, row by row. What is written is compared by the caller.
"""

import json
import pathlib
import sys
import tempfile
import warnings

import numpy
import onnx
import onnxruntime

warnings.filterwarnings("ignore")


def session(model, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def votes(path, rows, out):
    import mlflow
    import pandas
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    about = {p.key: p.value for p in model.metadata_props}
    names = [c["name"] for c in json.loads(about.get("aura.columns") or about["aura.inputs"])]
    x = numpy.fromfile(rows, "<f4").reshape(-1, len(names))

    def save(name, label, probability, vote):
        numpy.asarray(label, "<i8").tofile(out / f"{name}.label")
        numpy.asarray(probability, "<f8").tofile(out / f"{name}.probability")
        numpy.asarray(vote, "<f8").tofile(out / f"{name}.vote")

    outputs = ["label", "probability", "vote"]
    element = "float64" if "double" in session(path).get_inputs()[0].type else "float32"
    for threads in (1, 2):
        save(f"batch-{threads}", *session(path, threads).run(outputs, {"X": x.astype(element)}))
    one, x = session(path), x.astype(element)
    single = [one.run(outputs, {"X": x[i : i + 1]}) for i in range(len(x))]
    save("single", *(numpy.concatenate(column) for column in zip(*single)))

    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in names]),
        outputs=Schema([ColSpec("long", "label"), ColSpec("double", "probability"), ColSpec("double", "vote")]),
    )
    with tempfile.TemporaryDirectory() as folder:
        mlflow.onnx.save_model(
            model, folder + "/model", signature=signature, pip_requirements=["onnxruntime"], onnx_execution_providers=["CPUExecutionProvider"],
        )  # fmt: skip
        loaded = mlflow.pyfunc.load_model(folder + "/model")
        frame = pandas.DataFrame(x.astype("float64"), columns=names)[names[::-1]]  # pyfunc finds columns by name
        found = loaded.predict(frame)
    save("pyfunc", found["label"], found["probability"], found["vote"])
    print("onnxruntime", onnxruntime.__version__, "mlflow", mlflow.__version__, "rows", len(x))


def models(rows, labels, out):
    import lightgbm
    import sklearn
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
    from sklearn.tree import DecisionTreeClassifier

    y = numpy.fromfile(labels, "u1").astype(int)
    x = numpy.fromfile(rows, "<f4").reshape(len(y), -1)
    half = len(y) // 2
    width, fit, bad, x = x.shape[1], x[:half], y[:half], x[half:]
    whole = numpy.nan_to_num(fit)  # skl2onnx doesn't tell where scikit-learn sends missing values
    words = numpy.where(bad == 1, "bad", "good")

    def sklearn_model(model, outcome=bad, kind=FloatTensorType, **options):
        model.fit(whole, outcome)
        return convert_sklearn(model, initial_types=[("X", kind([None, width]))], target_opset={"": 17, "ai.onnx.ml": 3}, **options)

    def lightgbm_model(categorical=(), **parameters):
        model = lightgbm.LGBMClassifier(verbose=-1, n_jobs=1, random_state=1, **parameters)
        model.fit(fit, bad, categorical_feature=list(categorical))
        return convert_lightgbm(model, initial_types=[("X", Floats([None, width]))], zipmap=False)

    def xgboost_model(**parameters):
        model = xgboost.XGBClassifier(n_jobs=1, random_state=1, **parameters)
        return convert_xgboost(model.fit(fit, bad), initial_types=[("X", Floats([None, width]))])

    made = {
        "sklearn-forest": sklearn_model(RandomForestClassifier(100, max_depth=10, min_samples_leaf=5, random_state=1)),
        "sklearn-forest-deep": sklearn_model(RandomForestClassifier(20, random_state=1), options={"zipmap": False}),
        "sklearn-forest-words": sklearn_model(RandomForestClassifier(10, max_depth=6, random_state=1), outcome=words),
        "sklearn-forest-double": sklearn_model(RandomForestClassifier(10, max_depth=8, random_state=1), kind=DoubleTensorType),
        "sklearn-extra-trees": sklearn_model(ExtraTreesClassifier(50, max_depth=12, random_state=1)),
        "sklearn-tree": sklearn_model(DecisionTreeClassifier(max_depth=6, random_state=1)),
        "sklearn-boosting": sklearn_model(GradientBoostingClassifier(n_estimators=60, random_state=1)),
        "sklearn-regressor": sklearn_model(RandomForestRegressor(50, max_depth=8, random_state=1)),
        "lightgbm": lightgbm_model(n_estimators=100),
        "lightgbm-categories": lightgbm_model(n_estimators=30, categorical=[1], min_data_per_group=5, cat_smooth=1),
        "xgboost": xgboost_model(n_estimators=100, max_depth=6),
        "xgboost-base": xgboost_model(n_estimators=50, max_depth=4, base_score=0.5),
    }
    for name, model in made.items():
        onnx.save(model, out / f"{name}.onnx")
        mine = onto_thresholds(model, x)
        mine.tofile(out / f"{name}.rows")
        save_scores(out / name, mine)
    print("scikit-learn", sklearn.__version__, "lightgbm", lightgbm.__version__, "xgboost", xgboost.__version__)


def onto_thresholds(model, x):
    """Moves a third of the numbers onto a threshold that the model has for their column, or beside it."""
    random = numpy.random.default_rng(1)
    trees = next(n for n in model.graph.node if n.op_type.startswith("TreeEnsemble"))
    found = {a.name: onnx.helper.get_attribute_value(a) for a in trees.attribute}
    values = found.get("nodes_values") or onnx.numpy_helper.to_array(found["nodes_values_as_tensor"])
    x = x.copy()
    for column in range(x.shape[1]):
        at = [v for v, c, m in zip(values, found["nodes_featureids"], found["nodes_modes"]) if c == column and m != b"LEAF"]
        if not at:
            continue
        at = numpy.array(sorted(set(at)), "<f4")
        moved = random.random(len(x)) < 1 / 3
        x[moved, column] = random.choice(numpy.concatenate([at, numpy.nextafter(at, numpy.float32(numpy.inf)), at]), moved.sum())
    return x


def save_scores(path, x):
    run = session(str(path) + ".onnx")
    double = run.get_inputs()[0].type == "tensor(double)"
    found = run.run(None, {run.get_inputs()[0].name: x.astype("float64") if double else x})[-1]
    if isinstance(found, list):  # ZipMap: a dictionary a row
        found = [row["bad"] if "bad" in row else row[1] for row in found]
    found = numpy.asarray(found, "<f8")
    (found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found.reshape(-1)).tofile(f"{path}.scores")


def modes(out):
    x = numpy.array([numpy.nan, -numpy.inf, -1, -0.0, 0, 1, numpy.nextafter(numpy.float32(1), numpy.float32(2)), 3, numpy.inf], "<f4")
    x.tofile(out / "rows")
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        for tracks in (0, 1):
            for limit in (1.0, 0.0, float("inf"), float("-inf")):
                node = onnx.helper.make_node(
                    "TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1, post_transform="NONE",
                    nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
                    nodes_modes=["BRANCH_" + mode, "LEAF", "LEAF"], nodes_values=[limit, 0.0, 0.0],
                    nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], nodes_missing_value_tracks_true=[tracks, 0, 0],
                    target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[0.75, 0.25],
                )  # fmt: skip
                graph = onnx.helper.make_graph(
                    [node], mode,
                    [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [None, 1])],
                    [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [None, 1])],
                )  # fmt: skip
                opsets = [onnx.helper.make_opsetid("ai.onnx.ml", 3), onnx.helper.make_opsetid("", 17)]
                name = f"{mode}-{tracks}-{limit}"
                onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), out / f"{name}.onnx")
                save_scores(out / name, x.reshape(-1, 1))


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    {"votes": votes, "models": models, "modes": modes}[command](*map(pathlib.Path, paths))
