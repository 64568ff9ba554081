package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aura/mlops/registry"
)

// Content is what is written of one version beside its row.
type Content struct {
	// Model is the version, loaded.
	Model *registry.Model
	// File is the registry's own file of it.
	File []byte
	// ONNX is the model as ONNX, empty where it has none; ONNXNote then says why.
	ONNX     []byte
	ONNXNote string
}

// publish writes a version: a run with its figures, the logged model with its files, and last the model version. It returns
// the server's name of the version.
func (c *Client) publish(ctx context.Context, model, experiment string, v registry.Version, content Content, now time.Time) (string, error) {
	if err := c.failLeftovers(ctx, experiment, v.Number, now); err != nil {
		return "", err
	}
	run, err := c.beginRun(ctx, experiment, v)
	if err != nil {
		return "", err
	}
	name, err := c.publishIn(ctx, run, model, experiment, v, content, now)
	if err != nil {
		// The run says that it failed, also where the caller has no time left.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.http.Timeout)
		defer cancel()
		return "", errors.Join(err, c.endRun(end, run, "FAILED", now))
	}
	return name, nil
}

func (c *Client) beginRun(ctx context.Context, experiment string, v registry.Version) (string, error) {
	var a struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	err := c.api(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": experiment, "run_name": "version " + strconv.Itoa(v.Number), "start_time": v.CreatedAt.UnixMilli(),
		"tags": []tag{
			{tagVersion, strconv.Itoa(v.Number)},
			{tagDigest, v.Digest},
			{"mlflow.user", nonempty(v.CreatedBy)},
			{"mlflow.source.name", "aura"},
			{"mlflow.source.type", "JOB"},
			{"mlflow.note.content", v.Note},
		},
	}, &a)
	if err == nil && a.Run.Info.ID == "" {
		err = errors.New("mlflow: runs/create: the answer names no run")
	}
	return a.Run.Info.ID, err
}

func nonempty(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (c *Client) publishIn(ctx context.Context, run, model, experiment string, v registry.Version, content Content, now time.Time) (string, error) {
	var logged struct {
		Model struct {
			Info struct {
				ID  string `json:"model_id"`
				URI string `json:"artifact_uri"`
			} `json:"info"`
		} `json:"model"`
	}
	err := c.api(ctx, http.MethodPost, "logged-models", map[string]any{
		"experiment_id": experiment, "name": loggedName(model), "model_type": "credit decision forest", "source_run_id": run,
		"params": params(v, content.Model), "tags": []tag{{tagVersion, strconv.Itoa(v.Number)}, {tagDigest, v.Digest}},
	}, &logged)
	if err != nil {
		return "", err
	}
	id, folder := logged.Model.Info.ID, logged.Model.Info.URI
	if id == "" || folder == "" {
		return "", errors.New("mlflow: logged-models: the answer names no model or no place for its files")
	}
	if err := c.api(ctx, http.MethodPost, "runs/log-batch", map[string]any{
		"run_id": run, "params": params(v, content.Model), "metrics": metrics(v, id, now),
	}, nil); err != nil {
		return "", err
	}
	if err := c.api(ctx, http.MethodPost, "runs/log-inputs", map[string]any{"run_id": run, "datasets": datasets(v, content.Model)}, nil); err != nil {
		return "", err
	}
	for _, f := range modelFiles(run, id, folder, v, content, now) {
		if err := c.put(ctx, folder, f.name, f.content); err != nil {
			return "", err
		}
	}
	var ready struct {
		Model struct {
			Info struct {
				Status string `json:"status"`
			} `json:"info"`
		} `json:"model"`
	}
	err = c.api(ctx, http.MethodPatch, "logged-models/"+url.PathEscape(id), map[string]string{"model_id": id, "status": loggedReady}, &ready)
	if err == nil && ready.Model.Info.Status != loggedReady {
		err = fmt.Errorf("mlflow: the logged model %s is %q after its files were written", id, ready.Model.Info.Status)
	}
	if err != nil {
		return "", err
	}
	if err := c.api(ctx, http.MethodPost, "runs/outputs", map[string]any{"run_id": run, "models": []map[string]any{{"model_id": id, "step": 0}}}, nil); err != nil {
		return "", err
	}
	if err := c.endRun(ctx, run, "FINISHED", now); err != nil {
		return "", err
	}
	return c.createVersion(ctx, run, model, id, v)
}

const loggedReady = "LOGGED_MODEL_READY"

// loggedName is a name that a logged model may have.
func loggedName(model string) string {
	return strings.NewReplacer("/", "-", ":", "-", ".", "-", "%", "-", `"`, "-", "'", "-").Replace(model)
}

func (c *Client) createVersion(ctx context.Context, run, model, id string, v registry.Version) (string, error) {
	var a struct {
		Version struct {
			Version string `json:"version"`
			Status  string `json:"status"`
			Message string `json:"status_message"`
		} `json:"model_version"`
	}
	err := c.api(ctx, http.MethodPost, "model-versions/create", map[string]any{
		"name": model, "source": "models:/" + id, "run_id": run, "model_id": id, "description": v.Note,
		"tags": []tag{
			{tagVersion, strconv.Itoa(v.Number)},
			{tagDigest, v.Digest},
			{"aura.schema", v.SchemaName},
			{"aura.schema_digest", v.SchemaDigest},
			{"aura.created_by", nonempty(v.CreatedBy)},
			{"aura.created_at", v.CreatedAt.UTC().Format(time.RFC3339Nano)},
		},
	}, &a)
	switch {
	case err != nil:
		return "", err
	case a.Version.Version == "":
		return "", errors.New("mlflow: model-versions/create: the answer names no version")
	case a.Version.Status == "FAILED_REGISTRATION":
		return "", fmt.Errorf("mlflow: version %d could not be registered: %s", v.Number, clip(a.Version.Message))
	}
	return a.Version.Version, nil
}

// params are what a model was made with.
func params(v registry.Version, m *registry.Model) []tag {
	out := []tag{
		{"model", kind(m)},
		{"trees", strconv.Itoa(m.Trees())},
		{"seed", strconv.FormatUint(v.Seed, 10)},
		{"features", strconv.Itoa(len(m.Schema().Inputs()))},
		{"schema", v.SchemaName},
		{"schema_digest", v.SchemaDigest},
		{"rows", strconv.Itoa(v.Window.Rows)},
		{"data_digest", nonempty(m.DataDigest)},
	}
	if f := m.Forest(); f != nil {
		out = append(
			out, tag{"depth", strconv.Itoa(f.Params().Depth)}, tag{"min_leaf", strconv.Itoa(f.Params().MinLeaf)},
			tag{"mtry", strconv.Itoa(f.Params().Mtry)})
	}
	if !v.Window.From.IsZero() {
		out = append(out, tag{"rows_from", v.Window.From.UTC().Format(time.RFC3339)}, tag{"rows_to", v.Window.To.UTC().Format(time.RFC3339)})
	}
	return out
}

// metrics are the figures that were measured, on the run and on its model.
func metrics(v registry.Version, id string, now time.Time) []metric {
	var out []metric
	for _, m := range []struct {
		key   string
		value float64
	}{
		{"cv_auc", v.Metrics.CVAUC},
		{"holdout_auc", v.Metrics.HoldoutAUC},
		{"brier", v.Metrics.Brier},
		{"accuracy", v.Metrics.Accuracy},
		{"log_loss", v.Metrics.LogLoss},
		{"holdout_rows", float64(v.Metrics.Rows)},
	} {
		if m.value != 0 {
			out = append(out, metric{m.key, m.value, now.UnixMilli(), id})
		}
	}
	return out
}

// datasets says what the model learnt from: rows that stay in the store, named by their digest.
func datasets(v registry.Version, m *registry.Model) []map[string]any {
	type source struct {
		Schema string    `json:"schema"`
		From   time.Time `json:"from,omitzero"`
		To     time.Time `json:"to,omitzero"`
		Rows   int       `json:"rows"`
		Digest string    `json:"sha256,omitempty"`
	}
	text, err := json.Marshal(source{v.SchemaName, v.Window.From, v.Window.To, v.Window.Rows, m.DataDigest})
	if err != nil {
		panic("mlflow: texts, times and numbers always encode: " + err.Error())
	}
	digest := m.DataDigest
	if digest == "" {
		digest = "unknown"
	}
	return []map[string]any{{
		"tags": []tag{{"mlflow.data.context", "training"}},
		"dataset": map[string]string{
			"name": v.SchemaName, "digest": digest[:min(len(digest), maxDigest)], "source_type": "aura", "source": string(text),
		},
	}}
}

// maxDigest is how long the server lets the digest of data be.
const maxDigest = 36
