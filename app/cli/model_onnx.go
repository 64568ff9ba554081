package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aura/app/config"
	"aura/web/api"
)

// maxModel bounds a model that is read from a file or a server.
const maxModel = 128 << 20

var schemaFlag = keyFlag{"schema", "schema.file", "schema of the data"}

// exportTo is where -o of export leads: a file, - for stdout. The words table and json mean the form of the report, as elsewhere.
type exportTo struct {
	file string
	form *string
}

func (e *exportTo) String() string { return e.file }

// Type implements pflag.Value.
func (e *exportTo) Type() string { return "file" }

// Set implements pflag.Value.
func (e *exportTo) Set(text string) error {
	if text == "table" || text == "json" {
		*e.form = text
		return nil
	}
	e.file = text
	return nil
}

func (i *invocation) exportCommand() *cobra.Command {
	to := &exportTo{form: &i.output}
	write := func(f api.ModelFile) error { return i.writeModel(f, to.file) }
	c := &cobra.Command{
		Use: "export [VERSION] -o FILE.onnx", Short: "Write a version, or the champion, as ONNX", Args: atMost(1),
		Long: `Writes a version (default: the champion) as an ONNX file that onnxruntime, MLflow's python_function and other servers load.
Its input X takes the schema's model inputs in their order and units, categories as their index, NaN for missing; label, probability and
vote come out, the vote equal to the bit to what AURA computes. A version that was imported is written as it came.`,
		Example: `  aura model export -o champion.onnx
  aura model export 3 -o v3.onnx -o json`,
	}
	i.stored(c, func(c *cobra.Command, s *client, args []string) error {
		version, err := to.check(args)
		if err != nil {
			return err
		}
		path := "champion"
		if version > 0 {
			path = strconv.Itoa(version)
		}
		content, header, err := s.send(c.Context(), http.MethodGet, "/api/v1/models/"+path+"/onnx", nil, maxModel+1)
		if err != nil {
			return err
		}
		if version, err = strconv.Atoi(header.Get("Aura-Model-Version")); err != nil || len(content) > maxModel {
			return Exit(ExitFailure, fmt.Errorf("%s answered something else than a model of at most %d bytes", s.base, maxModel),
				"see whether it is an AURA server of this version: `aura version`")
		}
		return write(api.ModelFile{Version: version, Digest: header.Get("Aura-Model-Digest"), Content: content})
	}, func(c *cobra.Command, stored config.Config, args []string) error {
		if i.commands.ExportModel == nil {
			return errNoStore
		}
		version, err := to.check(args)
		if err != nil {
			return err
		}
		f, err := i.commands.ExportModel(c.Context(), stored, version)
		if err != nil {
			return err
		}
		return write(f)
	}, schemaFlag)
	c.Flags().VarP(to, "output", "o", "file to write, - for stdout; table or json: form of the report")
	return c
}

// check returns the version asked for, 0 for the champion.
func (e *exportTo) check(args []string) (int, error) {
	if e.file == "" {
		return 0, usage("name one: -o champion.onnx, or -o - for stdout", "there is no file to write to")
	}
	if len(args) == 0 {
		return 0, nil
	}
	text, err := versionOf(args[0])
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// writeModel writes the file whole or not at all, and reports it.
func (i *invocation) writeModel(f api.ModelFile, name string) error {
	if name == "-" {
		_, err := i.Out.Write(f.Content)
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".onnx-*")
	if err != nil {
		return Exit(ExitFailure, err, "name a file in a directory that is there and can be written to")
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it is gone once it has its name
	_, err = tmp.Write(f.Content)
	if chmod := tmp.Chmod(0o644); err == nil {
		err = chmod
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return Exit(ExitFailure, fmt.Errorf("write %s: %w", name, err), "see whether the disk is full")
	}
	if i.output == "json" {
		return i.printJSON(struct {
			Version int    `json:"version"`
			Digest  string `json:"digest"`
			File    string `json:"file"`
			Bytes   int    `json:"bytes"`
		}{f.Version, f.Digest, name, len(f.Content)})
	}
	return i.printPairs([][2]string{
		{"version", strconv.Itoa(f.Version)}, {"digest", f.Digest}, {"file", name}, {"bytes", strconv.Itoa(len(f.Content))},
	})
}

// ImportRequest is what `aura model import` asks for beside the configuration.
type ImportRequest struct {
	Name    string // of the file
	Content []byte
	Columns []string // the file's inputs in its order; empty = the schema's model inputs
	Bad     string   // the class that means default; empty = the schema's
	Rows    string   // CSV file of labelled rows to judge it on; empty = stored outcomes, or synthetic rows for the built-in schema
	Note    string
	Streams Streams
}

// ImportResult is what became of it.
type ImportResult struct {
	Version    int     `json:"version"`
	Digest     string  `json:"digest"`
	Schema     string  `json:"schema"`
	Trees      int     `json:"trees"`
	Rows       int     `json:"rows"`
	RowsFrom   string  `json:"rows_from"`
	HoldoutAUC float64 `json:"holdout_auc"`
	Brier      float64 `json:"brier"`
	Accuracy   float64 `json:"accuracy"`
	// Verdict is the gate's, on whether it is better than the champion; empty where there is none.
	Verdict    string        `json:"verdict,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Champion   int           `json:"champion,omitempty"` // that it was compared with
	Challenger bool          `json:"challenger"`         // whether it has that alias now
	Checks     []ImportCheck `json:"checks,omitempty"`
}

// ImportCheck is one line of the gate.
type ImportCheck struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	OK    bool    `json:"ok"`
	Info  string  `json:"info,omitempty"`
}

var importFlags = []keyFlag{schemaFlag, {"data", "data.dir", "directory of database and models"}, dbFlag}

func (i *invocation) importCommand() *cobra.Command {
	var r ImportRequest
	c := &cobra.Command{
		Use: "import FILE.onnx", Short: "Register a tree ensemble that was trained elsewhere, and judge it", Args: exactly(1),
		Long: `Registers a binary classifier (or a regressor of the probability) of decision trees, exported as ONNX by skl2onnx or onnxmltools
from scikit-learn, LightGBM or XGBoost, as a new version. Its inputs are the schema's model inputs as an application has them, a
category as its index. What can't be scored exactly is refused, with the reason.

The gate then compares it with the champion on labelled rows that neither should have been trained on: those of --rows, else the
outcomes that are stored, else, for the built-in schema, synthetic ones. If it is better it becomes the challenger. It never becomes the
champion by itself: ` + "`aura model promote`" + ` does that. Like train it needs the data directory for itself.`,
		Example: `  aura model import lightgbm.onnx --note "boosted, January to June"
  aura model import forest.onnx --columns income,debt_ratio,credit_score,loan_amount,employment_years --bad 1 --rows june.csv`,
		RunE: func(c *cobra.Command, args []string) error {
			loaded, err := i.load(c, importFlags...)
			if err != nil {
				return err
			}
			if r.Content, err = readModel(args[0]); err != nil {
				return err
			}
			r.Columns = slices.DeleteFunc(r.Columns, func(name string) bool { return name == "" })
			r.Name, r.Streams = filepath.Base(args[0]), i.Streams
			result, err := i.commands.ImportModel(c.Context(), loaded, r)
			if err != nil {
				return err
			}
			return i.printImport(result)
		},
	}
	bind(c, importFlags...)
	c.Flags().StringSliceVar(&r.Columns, "columns", nil, "the file's inputs in its order, by the schema's names (default: the schema's model inputs)")
	c.Flags().StringVar(&r.Bad, "bad", "", "the class that means default (default: the schema's label)")
	c.Flags().StringVar(&r.Rows, "rows", "", "CSV file of labelled rows to judge it on (default: stored outcomes)")
	c.Flags().StringVar(&r.Note, "note", "", "kept with the version")
	return c
}

func readModel(name string) ([]byte, error) {
	remedy := "name an ONNX file"
	info, err := os.Stat(name)
	if err != nil {
		return nil, usage(remedy, "%w", err)
	}
	if info.Size() > maxModel {
		return nil, usage("export fewer or smaller trees", "%s has %d bytes; at most %d", name, info.Size(), maxModel)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, usage(remedy, "%w", err)
	}
	return content, nil
}

func (i *invocation) printImport(r ImportResult) error {
	if i.output == "json" {
		return i.printJSON(r)
	}
	score := func(f float64) string { return strconv.FormatFloat(f, 'f', 4, 64) }
	challenger := "no"
	if r.Challenger {
		challenger = "yes: aura model promote " + strconv.Itoa(r.Version) + " --reason WHY"
	}
	pairs := [][2]string{
		{"version", strconv.Itoa(r.Version)},
		{"digest", r.Digest},
		{"schema", r.Schema},
		{"trees", strconv.Itoa(r.Trees)},
		{"judged on", strconv.Itoa(r.Rows) + " " + r.RowsFrom},
		{"holdout auc", score(r.HoldoutAUC)},
		{"brier", score(r.Brier)},
		{"accuracy", score(r.Accuracy)},
	}
	if r.Champion > 0 {
		pairs = append(pairs, [2]string{"champion", strconv.Itoa(r.Champion)}, [2]string{"verdict", r.Verdict + ": " + r.Reason})
		var failed []string
		for _, c := range r.Checks {
			if !c.OK && c.Info == "" {
				failed = append(failed, fmt.Sprintf("%s (%.4g, limit %.4g)", c.Name, c.Value, c.Limit))
			}
		}
		pairs = append(pairs, [2]string{"not passed", dash(strings.Join(failed, "; "))})
	}
	return i.printPairs(append(pairs, [2]string{"challenger", challenger}))
}
