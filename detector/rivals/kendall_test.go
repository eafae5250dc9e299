package rivals

import (
	"math"
	"testing"
)

// nileFlow is the Nile at Aswan, 1871 to 1970, in 10⁸ m³.
var nileFlow = []float64{1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799,
	958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
	831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944,
	984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923,
	975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740}

// TestTrendAgreesWithScipy holds the tests against testdata/reference.py.
// Both were also run on the 353 values of pymannkendall's own unit tests
// (Bogra's rainfall, tests/data at its commit d919d21) and gave that
// package's published S -1959, variances 4889800.333 and 257403.38678, z
// -0.88545628 and -3.85927352.
func TestTrendAgreesWithScipy(t *testing.T) {
	for _, c := range []struct {
		name string
		got  Trend
		want Trend
	}{
		{"Mann-Kendall", MannKendall(nileFlow), Trend{S: -1387, Var: 112728.333, Z: -4.12806652, P: 3.65826292e-05, Slope: -2.6}},
		{"Hamed-Rao", HamedRao(nileFlow), Trend{S: -1387, Var: 241565.357, Z: -2.8199792, P: 0.00480267631, Slope: -2.6}},
	} {
		near := func(what string, got, want float64) {
			if math.Abs(got/want-1) > 1e-7 {
				t.Errorf("%s: %s is %.9g, want %.9g", c.name, what, got, want)
			}
		}
		near("S", c.got.S, c.want.S)
		near("variance", c.got.Var, c.want.Var)
		near("z", c.got.Z, c.want.Z)
		near("p", c.got.P, c.want.P)
		near("slope", c.got.Slope, c.want.Slope)
	}
}
