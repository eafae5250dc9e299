package detector

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// near reports whether a and b agree to a relative 1e-6.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(1, math.Abs(b)) }

// TestReference compares with scipy 1.10 and statsmodels 0.13.5; the numbers
// were made by testdata/reference.py.
func TestReference(t *testing.T) {
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		T, Y     []float64
		TheilSen float64 `json:"theil_sen"`
		OLS      float64 `json:"ols_slope"`
		KPSS     float64 `json:"kpss_ct_5"`
		DFGLS    float64 `json:"df_gls"`
		ZLambda  float64 `json:"z_lambda"`
		NNLS     []float64
		Bend     []float64                    // null where nothing grows
		Tasks    struct{ Coef, SE []float64 } `json:"contrasts"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if got := sen(c.T, c.Y); !near(got, c.TheilSen) {
			t.Errorf("case %d: Theil-Sen %v, scipy %v", i, got, c.TheilSen)
		}
		if got, _ := ols(c.T, c.Y, make([]float64, len(c.T))); !near(got, c.OLS) {
			t.Errorf("case %d: least squares %v, statsmodels %v", i, got, c.OLS)
		}
		even := make([]float64, len(c.Y))
		for k := range even {
			even[k] = float64(k)
		}
		_, res := ols(even, c.Y, make([]float64, len(even)))
		if got := kpss(res, bartlett(res, 5)); !near(got, c.KPSS) {
			t.Errorf("case %d: KPSS %v, statsmodels %v", i, got, c.KPSS)
		}
		if got := dfGLS(c.Y); !near(got, c.DFGLS) {
			t.Errorf("case %d: DF-GLS %v, statsmodels %v", i, got, c.DFGLS)
		}
		if got := zLambda(c.T, c.Y); !near(got, c.ZLambda) {
			t.Errorf("case %d: z lambda %v, statsmodels' parts %v", i, got, c.ZLambda)
		}
		if got := bendOf(c.T, c.Y); c.Bend == nil && got.by != -1 || c.Bend != nil && !(near(got.by, c.Bend[0]) && near(got.se, c.Bend[1])) {
			t.Errorf("case %d: bend %+v, statsmodels %v", i, got, c.Bend)
		}
		coef, se := contrasts(callColumns(c.T), c.Y, Options{}.defaults())
		for k := range coef {
			if math.Abs(coef[k]-c.Tasks.Coef[k]) > 1e-4*math.Max(1, math.Abs(coef[k])) || math.Abs(se[k]-c.Tasks.SE[k]) > 1e-4*se[k] {
				t.Errorf("case %d: contrasts %v ± %v, statsmodels %v", i, coef, se, c.Tasks)
				break
			}
		}
		got := nnls(growthColumns(c.T), c.Y, 0)
		for k := range got {
			if math.Abs(got[k]-c.NNLS[k]) > 1e-4*math.Max(1, math.Abs(c.NNLS[k])) {
				t.Errorf("case %d: NNLS %v, scipy %v", i, got, c.NNLS)
				break
			}
		}
	}
}

// growthColumns are the reference's regressors: level, saturation, log, line.
func growthColumns(t []float64) [][]float64 {
	cols := make([][]float64, 4)
	for _, x := range t {
		for k, v := range []float64{1, 1 - math.Exp(-x/5), math.Log1p(math.Abs(x)), x} {
			cols[k] = append(cols[k], v)
		}
	}
	return cols
}

// callColumns are the reference's calls of four tasks.
func callColumns(t []float64) [][]float64 {
	cols := make([][]float64, 4)
	for _, x := range t {
		for k := range cols {
			cols[k] = append(cols[k], math.Abs(math.Sin(float64(k+1)*x)))
		}
	}
	return cols
}

// TestSenTies: pairs at one time have no slope and are left out.
func TestSenTies(t *testing.T) {
	if got := sen([]float64{1, 1, 2, 2}, []float64{1, 3, 5, 7}); got != 4 {
		t.Errorf("slope with tied times %v, want 4", got)
	}
	if got := sen([]float64{1, 1}, []float64{1, 3}); got != 0 {
		t.Errorf("slope without two times %v, want 0", got)
	}
}
