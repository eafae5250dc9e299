#!/usr/bin/env python3
"""Writes reference.json: numbers of scipy and statsmodels that the Go tests
compare with. Run with Debian's python3-scipy and python3-statsmodels."""
import json
import warnings

import numpy as np
from scipy import optimize, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.tsa.stattools import kpss

warnings.simplefilter("ignore")
rng = np.random.default_rng(7)
cases = []
for n, slope, rho in [(30, 0.0, 0.0), (60, 0.5, 0.3), (96, 0.1, 0.8), (96, 2.0, 0.95), (40, -0.3, 0.5)]:
    e = np.zeros(n)
    for i in range(1, n):
        e[i] = rho * e[i - 1] + rng.normal()
    t = np.arange(n) + rng.uniform(-0.2, 0.2, n)
    y = 10 + slope * t + e
    x = np.column_stack([np.ones(n), t])
    fit = OLS(y, x).fit()
    # KPSS about a trend on equally spaced points, Bartlett's kernel, 5 lags.
    k = kpss(y, regression="ct", nlags=5)[0]
    cols = np.column_stack([np.ones(n), 1 - np.exp(-t / 5), np.log1p(np.abs(t)), t])
    cases.append({
        "t": t.tolist(), "y": y.tolist(),
        "theil_sen": stats.theilslopes(y, t)[0],
        "ols_slope": fit.params[1],
        "kpss_ct_5": k,
        "nnls": optimize.nnls(cols, y)[0].tolist(),
    })
json.dump(cases, open("reference.json", "w"), indent=None, separators=(",", ":"))
