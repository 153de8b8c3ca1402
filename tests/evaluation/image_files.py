"""Small label maps in files, and folders of them."""

import json

import numpy as np
import SimpleITK as sitk


def save(labels, path, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None):
    """Write (d, h, w) labels with a spacing (d, h, w); origin and direction as ITK has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    image.SetOrigin([float(o) for o in origin])
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def save_all(folder, maps, ending=".nii.gz", **geometry):
    """Case -> labels into a folder."""
    for case, labels in maps.items():
        save(labels, folder / f"{case}{ending}", **geometry)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def dataset_json(folder, labels, ending=".nii.gz", **more):
    """nnU-Net's dataset.json with what the evaluation reads of it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"labels": {"background": 0} | labels, "file_ending": ending} | more
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder / "dataset.json"
