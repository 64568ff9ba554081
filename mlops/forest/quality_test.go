package forest

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// protected columns are never inputs of a model.
var protected = []string{"sex", "age", "marriage", "personal_status_sex", "foreign_worker"}

// readCredit reads one of the shared data sets: label "default", "id" and the columns in without left out, those in
// categories with this many codes. It skips the test where the file is absent.
func readCredit(t testing.TB, file string, without []string, categories map[string]int) Data {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", file)
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no data set %s: the quality on real data is measured only where it lies", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	records, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var d Data
	var from []int
	label := slices.Index(records[0], "default")
	for i, name := range records[0] {
		if name == "id" || i == label || slices.Contains(without, name) {
			continue
		}
		from = append(from, i)
		d.Columns = append(d.Columns, Column{Name: name, Categorical: categories[name] > 0, Categories: categories[name]})
	}
	for line, record := range records[1:] {
		row := make([]float64, len(from))
		for j, i := range from {
			if row[j], err = strconv.ParseFloat(record[i], 64); err != nil {
				t.Fatalf("%s, row %d: %v", file, line+1, err)
			}
		}
		d.X = append(d.X, row)
		d.Y = append(d.Y, record[label] == "1")
	}
	return d
}

// folds gives each row one of k folds, evenly within each outcome.
func folds(y []bool, k int, seed uint64) []int {
	rng := newRandom(seed, 0)
	order := make([]int, len(y))
	for i := range order {
		j := rng.below(i + 1)
		order[i] = order[j]
		order[j] = i
	}
	fold := make([]int, len(y))
	var dealt [2]int
	for _, i := range order {
		class := 0
		if y[i] {
			class = 1
		}
		fold[i] = dealt[class] % k
		dealt[class]++
	}
	return fold
}

// crossValidate returns the mean over the folds of each measure on the fold that was left out.
func crossValidate(t testing.TB, d Data, p Params, seed uint64) (auc, brier, accuracy float64) {
	t.Helper()
	const k = 5
	fold := folds(d.Y, k, seed)
	for held := range k {
		train := Data{Columns: d.Columns}
		var x [][]float64
		var y []bool
		for i, row := range d.X {
			if fold[i] == held {
				x, y = append(x, row), append(y, d.Y[i])
			} else {
				train.X, train.Y = append(train.X, row), append(train.Y, d.Y[i])
			}
		}
		f, err := Train(t.Context(), train, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		scores := make([]float64, len(x))
		for i, row := range x {
			scores[i] = f.Score(row)
		}
		auc += AUC(scores, y) / k
		brier += Brier(scores, y) / k
		accuracy += Accuracy(scores, y, 0.5) / k
	}
	return auc, brier, accuracy
}

// southGerman codes run from 0 or 1; the bound is the highest code plus one.
var southGerman = map[string]int{
	"status": 5, "credit_history": 5, "purpose": 11, "savings": 6, "employment_duration": 6, "installment_rate": 5,
	"personal_status_sex": 5, "other_debtors": 4, "present_residence": 5, "property": 5, "other_installment_plans": 4,
	"housing": 4, "number_credits": 5, "job": 5, "people_liable": 3, "telephone": 3, "foreign_worker": 3,
}

var taiwan = map[string]int{"sex": 3, "education": 7, "marriage": 4}

func TestQuality(t *testing.T) {
	if testing.Short() {
		t.Skip("trains many forests")
	}
	const tolerance = 0.01
	for _, c := range []struct {
		name    string
		data    func(t testing.TB) Data
		want    float64 // scikit-learn, 100 trees, depth 10, all columns
		repeats int
	}{
		// scikit-learn 1.9.1 on these very rows: 0.9185 (0.923 on the reference's draw, whose best possible AUC is 0.933, here 0.929).
		{"synthetic", func(testing.TB) Data { return syntheticRows(10_000, 7) }, 0.9185, 1},
		{"south german, all columns", func(t testing.TB) Data { return readCredit(t, "south_german_credit.csv", nil, southGerman) }, 0.791, 5},
		{"south german", func(t testing.TB) Data { return readCredit(t, "south_german_credit.csv", protected, southGerman) }, 0.791, 5},
		{"south german, codes as numbers", func(t testing.TB) Data { return readCredit(t, "south_german_credit.csv", protected, nil) }, 0.791, 5},
		{"taiwan, all columns", func(t testing.TB) Data {
			return readCredit(t, "uci_default_of_credit_card_clients.csv", nil, taiwan)
		}, 0.779, 1},
		{"taiwan", func(t testing.TB) Data {
			return readCredit(t, "uci_default_of_credit_card_clients.csv", protected, taiwan)
		}, 0.779, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.data(t)
			var auc, brier, accuracy float64
			for r := range c.repeats {
				a, b, acc := crossValidate(t, d, Params{Seed: uint64(r)}, uint64(r))
				auc, brier, accuracy = auc+a, brier+b, accuracy+acc
			}
			n := float64(c.repeats)
			t.Logf("AUC %.4f, Brier %.4f, accuracy %.4f", auc/n, brier/n, accuracy/n)
			if auc/n < c.want-tolerance {
				t.Errorf("AUC %.4f, want at least %.4f", auc/n, c.want-tolerance)
			}
		})
	}
}
