"""Made the constants of kendall_test.go, with Debian's python3-numpy,
python3-scipy and python3-statsmodels:  python3 reference.py

The series is statsmodels' copy of the Nile's flow at Aswan, 1871 to 1970
(public domain). Kendall's S comes from scipy's tau-b, its variance and
two-sided p from the normal approximation with tie correction, the slope from
scipy's Theil-Sen. Hamed and Rao's variance is written from the paper:
J. Hydrology 204 (1998) 182-196, equation 14, all lags that are significant
at 5 %, on the ranks of the series less its Sen trend.
"""
import numpy as np
from scipy import stats
from statsmodels.datasets import nile
from statsmodels.tsa.stattools import acf

y = nile.load_pandas().data["volume"].to_numpy(float)
n = len(y)
_, counts = np.unique(y, return_counts=True)
tau = stats.kendalltau(np.arange(n), y).statistic
pairs = n * (n - 1) / 2
s = round(tau * np.sqrt(pairs * (pairs - (counts * (counts - 1) / 2).sum())))
var = (n * (n - 1) * (2 * n + 5) - (counts * (counts - 1) * (2 * counts + 5)).sum()) / 18
slope = stats.theilslopes(y).slope


def show(name, v):
    z = (s - np.sign(s)) / np.sqrt(v)
    print(f"{name}: S {s} var {v:.9g} z {z:.9g} p {2 * stats.norm.sf(abs(z)):.9g} slope {slope:.9g}")


show("Mann-Kendall", var)
rho = acf(stats.rankdata(y - slope * np.arange(1, n + 1)), nlags=n - 1, fft=False)
lag = np.arange(1, n - 1)
r = np.where(np.abs(rho[1 : n - 1]) > stats.norm.ppf(0.975) / np.sqrt(n), rho[1 : n - 1], 0)
show("Hamed-Rao", var * (1 + 2 / (n * (n - 1) * (n - 2)) * ((n - lag) * (n - lag - 1) * (n - lag - 2) * r).sum()))
print("float64{" + ", ".join(f"{v:g}" for v in y) + "}")
