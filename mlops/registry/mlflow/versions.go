package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Tags by which what a mirror wrote is found again. The server numbers versions itself, so a version's own number is a tag.
const (
	tagVersion = "aura.version"
	tagDigest  = "aura.digest"
	// tagSynced, on the registered model, is the last champion that the alias was seen or set to: an alias that names another
	// version since then was moved by somebody else.
	tagSynced = "aura.synced_champion"
)

// pageSize of a search, and maxPages of them: a registry of more versions than that is refused rather than half seen.
const (
	pageSize = 200
	maxPages = 50
)

// remote is a version as the server has it.
type remote struct {
	Number int    // ours; 0 for a version that no mirror wrote
	Name   string // the server's
	Digest string
}

// registered is the registered model as the server has it.
type registered struct {
	Aliases map[string]string // to the server's version names
	Tags    map[string]string
}

type modelAnswer struct {
	Model struct {
		Aliases []struct{ Alias, Version string } `json:"aliases"`
		Tags    []tag                             `json:"tags"`
	} `json:"registered_model"`
}

// model returns the registered model, which is made if it isn't there.
func (c *Client) model(ctx context.Context, name string) (registered, error) {
	var a modelAnswer
	err := c.api(ctx, http.MethodGet, "registered-models/get", url.Values{"name": {name}}, &a)
	if code(err, "RESOURCE_DOES_NOT_EXIST") {
		err = c.api(ctx, http.MethodPost, "registered-models/create", map[string]any{"name": name, "description": "Mirror of a registry of AURA."}, nil)
		if err == nil || code(err, "RESOURCE_ALREADY_EXISTS") {
			err = c.api(ctx, http.MethodGet, "registered-models/get", url.Values{"name": {name}}, &a)
		}
	}
	if err != nil {
		return registered{}, err
	}
	out := registered{Aliases: map[string]string{}, Tags: map[string]string{}}
	for _, x := range a.Model.Aliases {
		out.Aliases[x.Alias] = x.Version
	}
	for _, t := range a.Model.Tags {
		out.Tags[t.Key] = t.Value
	}
	return out, nil
}

// versions returns all versions of the registered model. A number that stands on two of them, which two mirrors at one time
// could write, is that of the older one.
func (c *Client) versions(ctx context.Context, name string) ([]remote, error) {
	var out []remote
	token := ""
	for range maxPages {
		var a struct {
			Versions []struct {
				Version string `json:"version"`
				Tags    []tag  `json:"tags"`
			} `json:"model_versions"`
			Next string `json:"next_page_token"`
		}
		q := url.Values{"filter": {"name='" + name + "'"}, "max_results": {strconv.Itoa(pageSize)}, "order_by": {"version_number ASC"}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := c.api(ctx, http.MethodGet, "model-versions/search", q, &a); err != nil {
			return nil, err
		}
		for _, v := range a.Versions {
			r := remote{Name: v.Version}
			for _, t := range v.Tags {
				switch t.Key {
				case tagVersion:
					r.Number, _ = strconv.Atoi(t.Value) // what is no number is nobody's
				case tagDigest:
					r.Digest = t.Value
				}
			}
			out = append(out, r)
		}
		if token = a.Next; token == "" {
			return out, nil
		}
	}
	return nil, fmt.Errorf("mlflow: the registered model %s has more than %d versions; delete old ones, or name another model (mlflow.model)", name, pageSize*maxPages)
}

func (c *Client) setAlias(ctx context.Context, model, alias, version string) error {
	return c.api(ctx, http.MethodPost, "registered-models/alias", map[string]string{"name": model, "alias": alias, "version": version}, nil)
}

func (c *Client) deleteAlias(ctx context.Context, model, alias string) error {
	return c.api(ctx, http.MethodDelete, "registered-models/alias", map[string]string{"name": model, "alias": alias}, nil)
}

func (c *Client) setModelTag(ctx context.Context, model, key, value string) error {
	return c.api(ctx, http.MethodPost, "registered-models/set-tag", map[string]string{"name": model, "key": key, "value": value}, nil)
}

// experiment returns the id of an experiment, which is made if it isn't there.
func (c *Client) experiment(ctx context.Context, name string) (string, error) {
	var a struct {
		Experiment struct {
			ID    string `json:"experiment_id"`
			Stage string `json:"lifecycle_stage"`
		} `json:"experiment"`
		ID string `json:"experiment_id"`
	}
	get := func() error {
		return c.api(ctx, http.MethodGet, "experiments/get-by-name", url.Values{"experiment_name": {name}}, &a)
	}
	err := get()
	if code(err, "RESOURCE_DOES_NOT_EXIST") {
		err = c.api(ctx, http.MethodPost, "experiments/create", map[string]any{"name": name}, &a)
		if code(err, "RESOURCE_ALREADY_EXISTS") {
			err = get()
		}
		if err == nil && a.ID != "" {
			return a.ID, nil
		}
	}
	if err != nil {
		return "", err
	}
	if a.Experiment.Stage == "deleted" {
		return "", fmt.Errorf("mlflow: the experiment %s is deleted, and its name is kept; restore it, or name another one (mlflow.experiment)", name)
	}
	return a.Experiment.ID, nil
}

// Remove deletes a registered model and an experiment, those of an instance that is thrown away. What isn't there is no error.
// MLflow keeps the runs of a deleted experiment until `mlflow gc`.
func (c *Client) Remove(ctx context.Context, model, experiment string) error {
	err := c.api(ctx, http.MethodDelete, "registered-models/delete", map[string]string{"name": model}, nil)
	if code(err, "RESOURCE_DOES_NOT_EXIST") {
		err = nil
	}
	var a struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	got := c.api(ctx, http.MethodGet, "experiments/get-by-name", url.Values{"experiment_name": {experiment}}, &a)
	if got == nil {
		got = c.api(ctx, http.MethodPost, "experiments/delete", map[string]string{"experiment_id": a.Experiment.ID}, nil)
	}
	if code(got, "RESOURCE_DOES_NOT_EXIST") {
		got = nil
	}
	return errors.Join(err, got)
}

// failLeftovers marks runs of a version that were begun and never ended.
func (c *Client) failLeftovers(ctx context.Context, experiment string, number int, now time.Time) error {
	var a struct {
		Runs []struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"runs"`
	}
	err := c.api(ctx, http.MethodPost, "runs/search", map[string]any{
		"experiment_ids": []string{experiment}, "max_results": pageSize,
		"filter": fmt.Sprintf("attributes.status = 'RUNNING' and tags.`%s` = '%d'", tagVersion, number),
	}, &a)
	if err != nil {
		return err
	}
	for _, r := range a.Runs {
		if err := c.endRun(ctx, r.Info.ID, "FAILED", now); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) endRun(ctx context.Context, run, status string, now time.Time) error {
	return c.api(ctx, http.MethodPost, "runs/update", map[string]any{"run_id": run, "status": status, "end_time": now.UnixMilli()}, nil)
}
