package mlflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"aura/mlops/registry"
	"aura/mlops/schema"
)

// The files of a logged model.
const (
	fileModel  = "MLmodel"
	fileForest = "forest.bin"
	fileONNX   = "model.onnx"
)

// What Python users need to load the ONNX file; the versions are those that it is tested with.
const (
	pythonVersion = "3.11.7"
	mlflowVersion = "3.17.2"
	onnxVersion   = "1.23.2"
)

var requirements = []string{"mlflow==" + mlflowVersion, "numpy==2.4.6", "onnx==" + onnxVersion, "onnxruntime==1.32.0", "pandas==3.1.1"}

type file struct {
	name    string
	content []byte
}

// modelFiles are what a logged model consists of: the forest as the registry keeps it and, where it has one, its ONNX form,
// by which mlflow.pyfunc loads it; MLmodel, which describes them, comes last.
func modelFiles(run, id, folder string, v registry.Version, content Content, now time.Time) []file {
	files := []file{{fileForest, content.File}}
	if len(content.ONNX) > 0 {
		files = append(
			files, file{fileONNX, content.ONNX}, file{"requirements.txt", []byte(strings.Join(requirements, "\n") + "\n")},
			file{"python_env.yaml", text(map[string]any{
				"python": pythonVersion, "build_dependencies": []string{"pip"}, "dependencies": []string{"-r requirements.txt"},
			})},
			file{"conda.yaml", text(map[string]any{
				"name": "mlflow-env", "channels": []string{"conda-forge"},
				"dependencies": []any{"python=" + pythonVersion, "pip", map[string]any{"pip": requirements}},
			})})
	}
	return append(files, file{fileModel, text(describe(run, id, folder, v, content, now))})
}

// describe is the content of MLmodel.
func describe(run, id, folder string, v registry.Version, content Content, now time.Time) map[string]any {
	own := map[string]any{"data": fileForest, "format": 1, "sha256": v.Digest, "trees": content.Model.Trees()}
	if f := content.Model.Forest(); f != nil {
		own["max_depth"] = f.Params().Depth
	}
	flavors := map[string]any{kind(content.Model): own}
	metadata := map[string]any{"data_sha256": content.Model.DataDigest, "schema": v.SchemaName, "schema_digest": v.SchemaDigest, "version": v.Number}
	size := len(content.File)
	if len(content.ONNX) > 0 {
		size += len(content.ONNX)
		flavors["onnx"] = map[string]any{
			"code": nil, "data": fileONNX, "onnx_version": onnxVersion, "providers": []string{"CPUExecutionProvider"},
			"onnx_session_options": map[string]any{"intra_op_num_threads": 1, "inter_op_num_threads": 1},
		}
		flavors["python_function"] = map[string]any{
			"data": fileONNX, "loader_module": "mlflow.onnx", "python_version": pythonVersion,
			"env": map[string]string{"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
		}
	} else {
		metadata["onnx"] = content.ONNXNote
	}
	return map[string]any{
		"artifact_path": folder, "flavors": flavors, "metadata": metadata, "mlflow_version": mlflowVersion,
		"model_id": id, "model_uuid": id, "run_id": run, "model_size_bytes": size,
		"signature":        map[string]any{"inputs": inputs(content.Model.Schema()), "outputs": outputs(), "params": nil},
		"utc_time_created": now.UTC().Format("2006-01-02 15:04:05.000000"),
	}
}

// kind names what a model is: a forest of ours, or an ensemble that came as ONNX.
func kind(m *registry.Model) string {
	if m.Forest() == nil {
		return "imported_ensemble"
	}
	return "credit_forest"
}

// inputs is the signature's text for the model's inputs: doubles, since a column with a missing value holds no integers.
func inputs(s *schema.Schema) string {
	var columns []map[string]any
	for _, in := range s.Inputs() {
		columns = append(columns, map[string]any{"type": "double", "name": in.Name, "required": true})
	}
	return signature(columns)
}

// outputs is the text for what the ONNX file gives.
func outputs() string {
	return signature([]map[string]any{
		{"type": "long", "name": "label", "required": true},
		{"type": "double", "name": "probability", "required": true},
		{"type": "double", "name": "vote", "required": true},
	})
}

func signature(columns []map[string]any) string {
	out, err := json.Marshal(columns)
	if err != nil {
		panic("mlflow: texts always encode: " + err.Error())
	}
	return string(out)
}

func text(v any) []byte {
	out, err := yaml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("mlflow: maps of texts and numbers always encode: %v", err))
	}
	return out
}
