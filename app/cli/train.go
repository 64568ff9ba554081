package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// TrainRequest is what `aura train` asks for beside the configuration (schema.file, seed, training.*).
type TrainRequest struct {
	// File is the CSV file to train on; empty means synthetic rows for the built-in schema.
	File string
	// Progress may be called from any goroutine with what is done of all there is to do. It doesn't block.
	Progress func(done, total int)
	// Streams.Err takes words for people; stdout is written by the command.
	Streams Streams
}

// TrainResult is what training yielded.
type TrainResult struct {
	// Version is the number in the registry.
	Version    int     `json:"version"`
	Digest     string  `json:"digest"`
	Schema     string  `json:"schema"`
	Rows       int     `json:"rows"`
	Trees      int     `json:"trees"`
	Depth      int     `json:"depth"`
	Seed       uint64  `json:"seed"`
	CVAUC      float64 `json:"cv_auc"` // mean of 5 folds
	HoldoutAUC float64 `json:"holdout_auc"`
	Brier      float64 `json:"brier"`
	Accuracy   float64 `json:"accuracy"`
	Champion   bool    `json:"champion"` // whether it is in charge now
	Seconds    float64 `json:"seconds"`
}

var trainFlags = []keyFlag{
	{"schema", "schema.file", "schema of the data"},
	{"seed", "seed", "seed of folds and trees; 0 = a random one, printed"},
	{"trees", "training.trees", "trees of the forest"},
	{"depth", "training.depth", "depth of each tree"},
	{"dir", "data.dir", "directory of database and models"},
	dbFlag,
}

func (i *invocation) trainCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "train", Short: "Train a model and put it into the registry", Args: exactly(0),
		Long: `Trains a forest on a CSV file by its schema, or on synthetic data if none is named, judges it by 5-fold
cross-validation and on rows it has not seen, and registers it as a new version. The first version of a registry
becomes the champion; later ones wait for ` + "`aura model promote`.",
		Example: `  aura train
  aura train --schema taiwan.yaml --data default.csv -o json`,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := i.load(c, trainFlags...)
			if err != nil {
				return err
			}
			bar := newProgress(i.Err, i.terminal(i.Err), "training", time.Now)
			result, err := i.commands.Train(c.Context(), loaded, TrainRequest{File: file, Progress: bar.Set, Streams: i.Streams})
			bar.End()
			if err != nil {
				return err
			}
			return i.printTraining(result)
		},
	}
	bind(c, trainFlags...)
	c.Flags().StringVar(&file, "data", "", "CSV file to train on (default: synthetic rows of the built-in schema)")
	return c
}

func (i *invocation) printTraining(r TrainResult) error {
	if i.output == "json" {
		return i.printJSON(r)
	}
	score := func(f float64) string { return strconv.FormatFloat(f, 'f', 4, 64) }
	return i.printPairs([][2]string{
		{"version", strconv.Itoa(r.Version)},
		{"champion", strconv.FormatBool(r.Champion)},
		{"digest", r.Digest},
		{"schema", r.Schema},
		{"rows", strconv.Itoa(r.Rows)},
		{"forest", fmt.Sprintf("%d trees, depth %d", r.Trees, r.Depth)},
		{"seed", strconv.FormatUint(r.Seed, 10)},
		{"cv auc", score(r.CVAUC)},
		{"holdout auc", score(r.HoldoutAUC)},
		{"brier", score(r.Brier)},
		{"accuracy", score(r.Accuracy)},
		{"seconds", strconv.FormatFloat(r.Seconds, 'f', 2, 64)},
	})
}
