#!/usr/bin/env python3
"""Writes reference.json: numbers of scipy and statsmodels that the Go tests
compare with. Run with Debian's python3-scipy and python3-statsmodels."""
import json
import warnings

import numpy as np
from scipy import optimize, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.sandwich_covariance import S_hac_simple
from statsmodels.tsa.stattools import acf, adfuller, kpss

warnings.simplefilter("ignore")


def df_gls(y):
    """Elliott, Rothenberg and Stock's ratio with a trend: statsmodels' ADF of the residuals of its quasi-differenced OLS."""
    n = len(y)
    a = 1 - 13.5 / n
    z = np.column_stack([np.ones(n), np.arange(1, n + 1)])
    differ = lambda x: np.concatenate([x[:1], x[1:] - a * x[:-1]])
    beta = OLS(differ(y), differ(z)).fit().params
    return adfuller(y - z @ beta, maxlag=0, regression="n", autolag=None)[0]


def long_run(e):
    """Andrews' (1991) AR(1) bandwidth for Bartlett's kernel; the sum is statsmodels'. It sums to whole lags, weighted here."""
    n = len(e)
    rho = np.clip((e[1:] @ e[:-1]) / (e @ e), -0.97, 0.97)
    width = min(1.1447 * (4 * rho**2 / (1 - rho**2) ** 2 * n) ** (1 / 3), n / 3)
    weights = lambda lags: 1 - np.arange(lags + 1) / (width + 1)
    return S_hac_simple(e[:, None], nlags=int(width), weights_func=weights)[0, 0] / n


def z_lambda(t, y):
    """Harvey, Leybourne and Taylor (2007), as their equations 3 to 8 have it."""
    fit = OLS(y, np.column_stack([np.ones(len(t)), t])).fit()
    level = long_run(fit.resid)
    z0 = fit.params[1] / np.sqrt(level / np.sum((t - t.mean()) ** 2))
    v = np.diff(y)
    z1 = v.mean() / np.sqrt(long_run(v - v.mean()) / len(v))
    stationary = np.sum(np.cumsum(fit.resid) ** 2) / (len(y) ** 2 * level)
    weight = np.exp(-0.00025 * (df_gls(y) / stationary) ** 2)
    return (1 - weight) * z0 + weight * z1


def bend(t, y):
    """How a growth bends: the coefficient of u² over the slope on u alone, and its error with AR(1) residuals."""
    u = 2 * (t - t[0]) / (t[-1] - t[0]) - 1
    one = np.ones(len(t))
    slope = OLS(y, np.column_stack([one, u])).fit().params[1]
    if slope <= 0:
        return None
    curved = OLS(y, np.column_stack([one, u, u * u])).fit()
    r1 = acf(curved.resid, nlags=1, fft=False)[1]
    rho = np.clip(r1 + (3 + 4 * r1) / len(t), 0, 0.95)
    return [curved.params[2] / slope, curved.bse[2] * np.sqrt((1 + rho) / (1 - rho)) / slope]


def contrasts(t, y):
    """What each of four regressors adds beyond the median one, and its error about their mean."""
    calls = np.column_stack([np.abs(np.sin(k * t)) for k in range(1, 5)])
    fit = OLS(y, calls).fit()
    about = fit.t_test(np.eye(4) - 0.25)
    return {"coef": (fit.params - np.median(fit.params)).tolist(), "se": (1.25 * about.sd.ravel()).tolist()}


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
        "df_gls": df_gls(y),
        "z_lambda": float(np.clip(z_lambda(t, y), -50, 50)),  # the tests stop there
        "nnls": optimize.nnls(cols, y)[0].tolist(),
        "bend": bend(t, y),
        "contrasts": contrasts(t, y),
    })
json.dump(cases, open("reference.json", "w"), indent=None, separators=(",", ":"))
