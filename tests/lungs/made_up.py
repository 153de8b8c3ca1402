"""A tiny lung data set in nnU-Net's raw layout: 18 bars of segments and three short trees on 6 x 8 x 20 voxels."""

import json

import nibabel
import numpy as np
import torch

SHAPE = (6, 8, 20)  # (d, h, w)
SPACING_MM = (2.0, 1.5, 1.0)  # (d, h, w)
AFFINE = np.diag([*reversed(SPACING_MM), 1.0])
LABELS = {"background": 0} | {f"segment {number}": number for number in range(1, 19)}
TREES = {"airway": (1, 2), "artery": (3, 4), "vein": (5, 6)}  # rows (h) that each fills in the middle slice


def segments():
    """Segment n fills column n (w) of the inner block; columns 0 and 19 are background."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 1:7, 1:19] = np.arange(1, 19)
    return labels


def lobes():
    """By the paper's table: 1-3, 4-5, 6-10, 11-14, 15-18."""
    table = [0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]
    return np.array(table, np.uint8)[segments()]


def tree(name):
    mask = np.zeros(SHAPE, np.uint8)
    first, last = TREES[name]
    mask[3, first : last + 1, 2:18] = 1
    return mask


def bav():
    """Bronchus 1, artery 2, vein 3; the three do not meet."""
    return tree("airway") + 2 * tree("artery") + 3 * tree("vein")


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(np.asarray(array).T), affine), path)
    return path


def read(path):
    """(d, h, w) array of a NIfTI file."""
    return np.asarray(nibabel.load(path).dataobj).T


def write_ct_dataset(folder, training=("a", "b", "c", "d"), test=("t",), trees=True):
    """CT, segments and trees."""
    rng = np.random.default_rng(0)
    for part, names in (("Tr", training), ("Ts", test)):
        for name in names:
            ct = rng.integers(-900, 100, SHAPE).astype(np.int16)
            write(folder / f"images{part}" / f"{name}_0000.nii.gz", ct)
            write(folder / f"labels{part}" / f"{name}.nii.gz", segments())
            for key in TREES if trees else ():
                write(folder / "trees" / key / f"{name}.nii.gz", tree(key))
    content = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": len(training), "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_model(results, preprocessed, splits, folds, labels=None, dataset="Dataset007_BAV"):
    """The files that nnU-Net leaves of a cross-validation, without weights; validations hold :func:`bav`."""
    folder = results / dataset / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps({"dataset_name": dataset, "configurations": {"3d_fullres": {}}}))
    labels = labels or {"background": 0, "bronchus": 1, "artery": 2, "vein": 3}
    (folder / "dataset.json").write_text(
        json.dumps({"labels": labels, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"})
    )
    for fold in folds:
        place = folder / f"fold_{fold}"
        place.mkdir()
        torch.save({}, place / "checkpoint_final.pth")
        for case in splits[fold]["val"] if fold != "all" else ():
            write(place / "validation" / f"{case}.nii.gz", bav())
        if fold != "all":
            (place / "validation" / "summary.json").write_text("{}")
    base = preprocessed / dataset
    base.mkdir(parents=True)
    (base / "splits_final.json").write_text(json.dumps(splits))
    return folder


def write_lung3d(folder, subsets):
    """Lung3D's layout: a folder a case, and lung3d.csv."""
    for name in subsets:
        for key in TREES:
            write(folder / name / f"{key}.nii.gz", tree(key))
        write(folder / name / "lobe.nii.gz", lobes())
        write(folder / name / "lungsegment.nii.gz", segments())
        write(folder / name / "interseg.nii.gz", tree("vein"))
    write_csv(folder / "lung3d.csv", subsets)
    return folder


def write_lung3d_npz(folder, subsets):
    """The release's layout: a .npz file a case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in subsets:
        arrays = {key: tree(key).astype(bool) for key in TREES} | {"lobe": lobes(), "lungsegment": segments()}
        np.savez_compressed(folder / f"{name}.npz", lung_bbox=np.zeros((3, 2), int), **arrays)
    write_csv(folder / "lung3d.csv", subsets)
    return folder


def write_csv(path, subsets):
    path.write_text("pid,subset\n" + "".join(f"{name},{subset}\n" for name, subset in subsets.items()))
