"""Small summary.json files for the tests of the comparison."""

import json

from impulse_nnunet.evaluation.comparison.compare import compare
from impulse_nnunet.evaluation.comparison.methods import read_methods
from impulse_nnunet.evaluation.statistics import Resampling

FEW = Resampling(bootstrap=200, permutations=200)
SETTINGS = {"version": "1", "tolerances_mm": [1.0, 2.0], "surface": "voxel", "connectivity": 26, "trees": {}}


def write(folder, numbers, settings=SETTINGS, failures=None, n_ref=None):
    """A summary.json as ours, from metric -> numbers of the cases c0, c1, ... (a dict gives the cases' names)."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = {}
    for metric, values in numbers.items():
        named = values if isinstance(values, dict) else {f"c{number}": value for number, value in enumerate(values)}
        for case, value in named.items():
            cases.setdefault(case, {})[metric] = value
    entries = [
        {"case": case, "metrics": {"1": {"n_ref": (n_ref or {}).get(case, 10)}}, "paper": paper}
        for case, paper in cases.items()
    ]
    content = {"metric_per_case": entries, "settings": settings, "failures": failures or {}}
    (folder / "summary.json").write_text(json.dumps(content))
    return folder


def compared(*arguments, metrics=None, reference=None, allow=False):
    return compare(read_methods([str(argument) for argument in arguments]), reference, metrics, FEW, allow)


def write_two(folder):
    """Dice differs by +0.1, +0.2, +0.3; one intrusion less; the ID of a case without intrusions is null."""
    write(folder / "old", {"Dice": [0.5, 0.6, 0.5], "NIB": [2, 1, 4], "IDB_mm": [1.0, 2.0, 3.0]})
    write(folder / "new", {"Dice": [0.6, 0.8, 0.8], "NIB": [1, 0, 3], "IDB_mm": [1.5, None, 4.5]})
    return folder
