"""Small evaluated prediction folders, their summary.json written by hand."""

import json
import math

import numpy as np
import SimpleITK as sitk

SHAPE = (24, 28, 32)  # (z, y, x)
SPACING_MM = (3.0, 1.5, 2.0)  # (z, y, x)
ORIGIN_MM = (10.0, -20.0, 5.0)  # (z, y, x), LPS
NAMES = {"1": "right S1", "2": "right S2", "3": "left S1+2", "4": "left S3"}
LOBES = {"right upper lobe": [1, 2], "left upper lobe": [3, 4]}
METRICS = ("Dice", "IoU", "NSD_1mm", "NSD_2mm")


def reference_labels():
    """Two blocks; 1 above 2 at the patient's right, 3 above 4 at the left (z runs to the head, x to the left)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:20, 6:22, 4:14], labels[4:12, 6:22, 4:14] = 1, 2
    labels[12:20, 6:22, 18:28], labels[4:12, 6:22, 18:28] = 3, 4
    return labels


def predicted_labels(shift=2):
    """Label 1 reaches ``shift`` slices down into label 2."""
    labels = reference_labels()
    labels[12 - shift : 12, 6:22, 4:14] = 1
    return labels


def tree_mask():
    """A rod along z in the right block; z = 5 to 18, of which label 2 has 5 to 11."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:19, 12:14, 8:10] = 1
    return mask


def write_volume(array, path, orientation="LPS"):
    """Write a (z, y, x) LPS array; ``orientation`` is how the file stores it."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM[::-1])
    image.SetOrigin(ORIGIN_MM[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.DICOMOrient(image, orientation), str(path))
    return str(path)


def case_entry(folder, name, dice=0.8, trees=("airway",), shift=2, **paper):
    """Write the files of a case and make its entry; ``paper`` adds numbers, None is NaN."""
    entry = {
        "case": name,
        "reference_file": write_volume(reference_labels(), folder.parent / "gt" / f"{name}.nii.gz"),
        "prediction_file": write_volume(predicted_labels(shift), folder / f"{name}.nii.gz"),
        "metrics": {
            label: dict.fromkeys(METRICS, dice) | {"TP": 5, "FP": 1, "FN": 1, "TN": 9, "n_pred": 6, "n_ref": 6}
            for label in NAMES
        },
        "anatomy": {},
        "lobes": {lobe: {"Dice": dice} for lobe in LOBES},
        "paper": {"Dice": dice, "NSD_1mm": dice, "NSD_2mm": dice, "Dice_lobes": dice} | paper,
    }
    for tree in trees:
        file = write_volume(tree_mask(), folder.parent / tree / f"{name}.nii.gz")
        entry["anatomy"][tree] = {"file": file, "n_voxels": 56, "n_outside": 3, "Dice_inside": 0.9}
        if tree != "interseg":
            entry["anatomy"][tree] |= {
                "NI": 1,
                "ID_mm": 6.0,
                "total_ID_mm": 6.0,
                "n_background": 14,
                "share_in_segment": 0.75,
                "per_label": {label: {"NI": int(label == "2"), "n_voxels": 14} for label in NAMES},
            }
    return entry


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def write_summary(folder, cases, settings=None, failures=None):
    """Write summary.json as `impulse_nnunet evaluate` does; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {
        label: {name: mean([case["metrics"][label][name] for case in cases]) for name in METRICS} for label in NAMES
    }
    paper = {name: mean([case["paper"][name] for case in cases]) for name in (cases[0]["paper"] if cases else ())}
    content = {
        "foreground_mean": {"Dice": 0.8},
        "mean": labels,
        "metric_per_case": cases,
        "paper": paper,
        "n_nan": {name: sum(case["paper"][name] is None for case in cases) for name in paper},
        "settings": {
            "version": "0.1.0",
            "label_names": NAMES,
            "lobes": LOBES,
            "tolerances_mm": [1, 2],
            "surface": "voxel",
            "connectivity": 26,
            "min_size": 1,
            "tree_labels": False,
            "ignore_label": None,
            "trees": {"airway": "/trees"},
        }
        | (settings or {}),
        "failures": failures or {},
    }
    (folder / "summary.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_method(root, name="ours", dices=(0.5, 0.9, 0.7), trees=("airway",), settings=None, failures=None):
    """A method with cases c0, c1, ...; None is a case without a Dice."""
    folder = root / name
    numbers = {"NIB": 1.0, "IDB_mm": 6.0} if "airway" in trees else {}
    cases = [case_entry(folder, f"c{number}", dice, trees, **numbers) for number, dice in enumerate(dices)]
    return write_summary(folder, cases, settings, failures)


def is_nan(value):
    return isinstance(value, float) and math.isnan(value)
