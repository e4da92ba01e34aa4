"""
Energy scheduling: when to run the mill
=======================================

A factory runs eight jobs a day, four at a time at most, and pays the electricity price of each
half-hour, which is known only afterwards. Jobs can wait. How much does it save to plan by a
forecast, and how much more if the forecast is trained for the plan?
"""

# %%
# The jobs
# --------
# Each takes some half-hours without interruption, within a window, and draws a constant power in
# megawatts. Its ``usage`` is one pair of hands, and there are four.

import matplotlib.pyplot as plt
import numpy as np

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.datasets import fetch_energy_prices
from dfl.exceptions import InvalidInputError
from dfl.plotting import DecisionDisplay, RegretDisplay
from dfl_solvers import EnergyScheduling

jobs = {
    "durations": [6, 8, 4, 12, 10, 5, 16, 7],
    "earliest": [0, 0, 10, 0, 16, 12, 0, 20],
    "latest": [30, 48, 40, 48, 48, 36, 48, 48],
    "powers": [1.2, 0.8, 2.0, 0.6, 1.0, 1.5, 0.5, 1.8],
    "usage": [[1]] * 8,
    "capacities": [[4]],
}
exact, relaxed = EnergyScheduling(**jobs), EnergyScheduling(**jobs, relax=True)

# %%
# The prices
# ----------
# Two years of the Irish market, with what was known the day before: forecasts of load, wind and
# price, and the calendar. Where the data can neither be found nor downloaded, prices are made up,
# and the numbers below mean nothing.


def invented(n_days=400):
    """Return prices with a daily rhythm, wind that lowers them, and a forecast that errs."""
    rng = np.random.default_rng(0)
    hour, wind = np.tile(np.arange(48) / 2, n_days), np.repeat(rng.gamma(2, 1, n_days), 48)
    level = 50 - 15 * np.cos(2 * np.pi * (hour - 2) / 24) + 25 * np.exp(-((hour - 18) ** 2) / 3)
    price = (level - 5 * wind) * np.exp(0.3 * rng.normal(size=48 * n_days))
    X = np.column_stack([hour, wind, level + 5 * rng.normal(size=48 * n_days)])
    return X, price, np.repeat(np.arange(n_days), 48), X[:, 2]


try:
    data = fetch_energy_prices()
    X = data.X[:, [data.feature_names.index(name) for name in data.day_ahead]]
    price, day = data.y, data.groups
    official = data.X[:, data.feature_names.index("SMPEA")]  # the operator's own forecast
except InvalidInputError as error:
    print(f"made-up prices, since the real ones are missing: {error}")
    X, price, day, official = invented()

n_days = len(price) // 48
cut = 48 * round(0.7 * n_days)  # what is tested comes after all that is trained on
train, prices = slice(0, cut), price[cut:].reshape(-1, 48)
print(
    f"{cut // 48} days to learn from, {len(prices)} to plan, EUR/MWh {prices.mean():.0f} on average"
)

# %%
# Forecasts
# ---------
# One linear model serves all half-hours: a row is a half-hour, ``groups`` its day. Training may
# split jobs (``relax=True``); plans may not.

models = {
    "least squares": PredictThenOptimizeRegressor(relaxed),
    "SPO+": DecisionFocusedRegressor(relaxed, "spo+", max_iter=10, random_state=0),
}
forecasts = {"official forecast": official[cut:].reshape(-1, 48)}
for name, model in models.items():
    model.fit(X[train], price[train], groups=day[train])
    forecasts[name] = model.predict(X[cut:]).reshape(-1, 48)

# %%
# The bill
# --------
# Not to plan means to start every job as early as it fits.

energy = {"not planned": exact.solve(np.tile(np.arange(48.0), (len(prices), 1))).decisions}
energy |= {name: exact.solve(values).decisions for name, values in forecasts.items()}
energy["in hindsight"] = exact.solve(prices).decisions
bill = {name: np.vecdot(prices, drawn) for name, drawn in energy.items()}
for name, euros in bill.items():
    print(f"{name:18} {365 * euros.mean():9,.0f} EUR a year", end="")
    if name in forecasts:
        error = np.sqrt(np.mean((forecasts[name] - prices) ** 2))
        print(f", root mean squared error {error:.1f} EUR/MWh", end="")
    print()

lost = {name: bill[name] - bill["in hindsight"] for name in ("not planned", *forecasts)}
difference = metrics.paired_bootstrap(
    lost["SPO+"], lost["least squares"], weights=bill["in hindsight"], random_state=0
)
print("SPO+ minus least squares:", difference)
display = RegretDisplay.from_regrets(lost, bill["in hindsight"]).plot()
display.ax_.set_xlabel("paid above the least possible, %")

# %%
# On the real prices, planning at all saves most, a forecast of one's own comes next, and training
# it for the plan adds a little: a twentieth of what is still paid too much. That little is about
# the same for other seeds, and costs nothing but the training.
#
# One day
# -------
# The day on which the plans of the two models differ most in price: energy by half-hour, and the
# price that came.

worst = int(np.argmax(lost["least squares"] - lost["SPO+"]))
_, panels = plt.subplots(3, 1, figsize=(7, 7), layout="constrained", sharex=True)
for panel, name in zip(panels, ("least squares", "SPO+", "in hindsight"), strict=True):
    DecisionDisplay(exact, energy[name][worst], prices[worst], name).plot(panel)
    panel.set(xlabel="half-hour of the day", ylabel="energy, MWh")
    panel.figure.axes[-1].set_ylabel("price, EUR/MWh")
plt.show()
