package report

import (
	"testing"
	"time"
)

func TestQuantities(t *testing.T) {
	const mib = 1 << 20
	for got, want := range map[string]string{
		Bytes(0):                                            "0 B",
		Bytes(1536):                                         "1.5 KiB",
		Bytes(9.96 * mib):                                   "10 MiB",
		Bytes(212 * mib):                                    "212 MiB",
		Bytes(1000 * mib):                                   "1.0 GiB",
		Bytes(1.44 * 1024 * mib):                            "1.4 GiB",
		Freed(71.4*mib, 35.6*mib):                           "35 MiB",
		Freed(1.44*1024*mib, 1.06*1024*mib):                 "0.3 GiB",
		Freed(1.44*1024*mib, 212*mib):                       "1.2 GiB",
		Freed(9.4*mib, 700*1024):                            "8.7 MiB",
		Freed(212*mib, 212.4*mib):                           "0.0 MiB",
		FreedBetween(612*mib, 200*mib, 395*mib, 430*mib):    "412 MiB (395 to 430)",
		FreedBetween(1500*mib, 210*mib, 1240*mib, 1310*mib): "1.3 GiB (1.2 to 1.3)",
		FreedBetween(1500*mib, 210*mib, 1285*mib, 1300*mib): "1.3 GiB",
		FreedBetween(30*mib, 10*mib, -1.5*mib, 21.6*mib):    "20 MiB (−1.5 to 22)",
		FreedBetween(1500*mib, 210*mib, 1285*mib, 1400*mib): "1.3 GiB (1.3 to 1.4)",
		Bytes(-3 * mib):                                     "−3.0 MiB",
		Bytes(1100 * 1024 * mib):                            "1.1 TiB",
		Rate(44 * mib):                                      "+44 MiB/h",
		Rate(-44 * mib):                                     "−44 MiB/h",
		Duration(-time.Hour):                                "0 s",
		Duration(89 * time.Second):                          "89 s",
		Duration(12 * time.Minute):                          "12 min",
		Duration(100 * time.Minute):                         "1.5 h",
		Duration(11 * time.Hour):                            "11 h",
		Duration(71 * time.Hour):                            "3 days",
		Duration(99 * 24 * time.Hour):                       "over 90 days",
		Between(9*time.Hour, 14*time.Hour):                  "9–14 h",
		Between(50*time.Minute, 50*time.Minute):             "50 min",
		Between(40*time.Hour, 100*time.Hour):                "2–4 days",
		Percent(0.917):                                      "92 %",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
