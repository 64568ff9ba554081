package train

import (
	"testing"
	"time"
	"os"
	"aura/mlops/dataset"
	"aura/mlops/schema"
)

func TestQ(t *testing.T) {
	for _, w := range []int{1, 2} {
		t0 := time.Now()
		rows := dataset.Synthetic(10000, 1)
		t1 := time.Now()
		r, err := Fit(t.Context(), schema.Builtin(), rows, Options{Seed: 1, Workers: w})
		if err != nil { t.Fatal(err) }
		t.Logf("%v gen %v %+v", time.Since(t1), t1.Sub(t0), r)
	}
	r, err := Fit(t.Context(), schema.Builtin(), dataset.Synthetic(10000, 1), Options{Seed: 1, CV: true})
	t.Logf("%+v %v", r, err)
	for _, c := range [][2]string{{"south_german", "south_german_credit.csv"}, {"taiwan", "uci_default_of_credit_card_clients.csv"}} {
		p := "../../../shared/data/" + c[1]
		if _, err := os.Stat(p); err != nil { continue }
		s, err := schema.Load("../../examples/" + c[0] + ".yaml")
		if err != nil { t.Fatal(err) }
		t0 := time.Now()
		set, err := dataset.Load(t.Context(), p, s, dataset.Options{Seed: 1})
		if err != nil { t.Fatal(err) }
		t1 := time.Now()
		r, err := Fit(t.Context(), s, set.Rows, Options{Seed: 1, CV: true})
		t.Logf("load %v fit %v %+v %v", t1.Sub(t0), time.Since(t1), r, err)
	}
}
