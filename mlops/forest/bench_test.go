package forest

import (
	"math"
	"math/rand/v2"
	"testing"
)

// syntheticRows draws credit data like the built-in schema's: five inputs, outcome = risk + noise above a frozen threshold.
func syntheticRows(n int, seed uint64) Data {
	r := rand.New(rand.NewPCG(seed, 1))
	clip := func(v, low, high float64) float64 { return min(max(v, low), high) }
	d := Data{Columns: []Column{{Name: "credit_score"}, {Name: "debt_ratio"}, {Name: "income"}, {Name: "loan_amount"}, {Name: "employment_years"}}}
	for range n {
		score := clip(math.Round(r.NormFloat64()*80+700), 300, 850)
		debt := clip(r.NormFloat64()*20+30, 0, 100)
		income := max(r.NormFloat64()*20_000+55_000, 10_000)
		loan := r.Float64()*79_000 + 1_000
		years := min(r.ExpFloat64()*7, 40)
		risk := .40*(850-score)/550 + .30*debt/100 + .20*min(loan/income, 3)/3 + .10*(1-years/40) + r.NormFloat64()*0.05
		d.X = append(d.X, []float64{score, debt, income, loan, years})
		d.Y = append(d.Y, risk > 0.365)
	}
	return d
}

func BenchmarkTrain10kx5(b *testing.B) {
	d := syntheticRows(10_000, 7)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Train(b.Context(), d, Params{Seed: 1, Workers: 1}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScoreRow(b *testing.B) {
	f, err := Train(b.Context(), syntheticRows(10_000, 7), Params{Seed: 1}, nil)
	if err != nil {
		b.Fatal(err)
	}
	rows := syntheticRows(4096, 8).X
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f.Score(rows[i&4095])
		i++
	}
}

func BenchmarkScoreTaiwan(b *testing.B) {
	d := readCredit(b, "uci_default_of_credit_card_clients.csv", protected, taiwan)
	f := train(b, d, Params{Seed: 1})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f.Score(d.X[i%len(d.X)])
		i++
	}
}

func BenchmarkTrainTaiwan(b *testing.B) {
	d := readCredit(b, "uci_default_of_credit_card_clients.csv", protected, taiwan)
	b.ReportAllocs()
	for b.Loop() {
		train(b, d, Params{Seed: 1, Workers: 1})
	}
}

func BenchmarkDecode(b *testing.B) {
	data := encode(b, train(b, syntheticRows(10_000, 7), Params{Seed: 1}))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCode(b *testing.B) {
	d := syntheticRows(10_000, 7)
	f := train(b, d, Params{Seed: 1, Trees: 1})
	var keys narrowKeys
	i := 0
	for b.Loop() {
		f.bins.row(d.X[i%len(d.X)], keys[:])
		i++
	}
}
