package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aura/app/config"
	"aura/mlops/onnx"
	"aura/web/api"
)

// maxModel bounds a model that is read from a file or a server.
const maxModel = onnx.MaxBytes

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

// ImportRequest is what `aura model import` asks for beside the configuration, where no server runs.
type ImportRequest struct {
	api.ModelImport
	Rows    string // CSV file of labelled rows to judge it on; empty = stored outcomes, or synthetic rows for the built-in schema
	Streams Streams
}

func (i *invocation) importCommand() *cobra.Command {
	var r ImportRequest
	prepare := func(args []string) (err error) {
		r.Content, err = readModel(args[0])
		r.Columns = slices.DeleteFunc(r.Columns, func(name string) bool { return name == "" })
		r.Name, r.By, r.Streams = filepath.Base(args[0]), "cli", i.Streams
		return err
	}
	c := &cobra.Command{
		Use: "import FILE.onnx", Short: "Register a tree ensemble that was trained elsewhere, and judge it", Args: exactly(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"onnx"}, cobra.ShellCompDirectiveFilterFileExt),
		Long: `Registers a binary classifier (or a regressor of the probability) of decision trees, exported as ONNX by skl2onnx or onnxmltools
from scikit-learn, LightGBM or XGBoost, as a new version. Its inputs are the schema's model inputs as an application has them, a
category as its index. What can't be scored exactly is refused, with the reason.

The gate then compares it with the champion on labelled rows that neither should have been trained on: the newest stored outcomes. Where
no server runs they can come from a file (--rows), and are synthetic for the built-in schema if too few are stored. If it is better
it becomes the challenger. It never becomes the champion by itself: ` + "`aura model promote`" + ` does that.`,
		Example: `  aura model import lightgbm.onnx --note "boosted, January to June"
  aura model import forest.onnx --columns income,debt_ratio,credit_score,loan_amount,employment_years --bad 1`,
	}
	i.stored(c, func(c *cobra.Command, s *client, args []string) error {
		if err := prepare(args); err != nil {
			return err
		}
		query := url.Values{"name": {r.Name}}
		for name, value := range map[string]string{"columns": strings.Join(r.Columns, ","), "bad": r.Bad, "note": r.Note} {
			if value != "" {
				query.Set(name, value)
			}
		}
		if err := s.locate(); err != nil {
			return err
		}
		if r.Rows != "" {
			return usage("leave --rows out, or stop the server", "the server at %s judges a model by its stored outcomes", s.base)
		}
		var result api.Imported
		raw, err := s.call(c.Context(), http.MethodPost, "/api/v1/models/import?"+query.Encode(), file(r.Content), &result)
		if err != nil {
			return err
		}
		return i.printImport(raw, result)
	}, func(c *cobra.Command, stored config.Config, args []string) error {
		if i.commands.ImportModel == nil {
			return errNoStore
		}
		if err := prepare(args); err != nil {
			return err
		}
		result, err := i.commands.ImportModel(c.Context(), stored, r)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(result)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		return i.printImport(raw, result)
	}, schemaFlag)
	c.Flags().StringSliceVar(&r.Columns, "columns", nil, "the file's inputs in its order, by the schema's names (default: the schema's model inputs)")
	c.Flags().StringVar(&r.Bad, "bad", "", "the class that means default (default: the schema's label)")
	c.Flags().StringVar(&r.Rows, "rows", "", "CSV file of labelled rows to judge it on, where no server runs (default: stored outcomes)")
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

func (i *invocation) printImport(raw []byte, r api.Imported) error {
	if i.output == "json" {
		return i.printJSON(json.RawMessage(raw))
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
