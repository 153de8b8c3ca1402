"""Slow references for the metrics: whole volumes, one class after the other, scipy's and MONAI's code."""

import warnings

import numpy as np
import torch
from scipy import ndimage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

CROSS = ndimage.generate_binary_structure(3, 1)
STRUCTURES = {6: 1, 18: 2, 26: 3}


def blobs(seed, shape, number_of_classes, share=0.6):
    """A label map with grainy regions of every class."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(number_of_classes - 1, *shape)), (0, 1, 1, 1))
    return np.where(rng.uniform(size=shape) < share, fields.argmax(0) + 1, 0)


def disturbed(labels, seed, share=0.1):
    """The same map shifted by a voxel, with a share of voxels taken from elsewhere."""
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=labels.shape) < share, rng.permutation(labels), np.roll(labels, 1, axis=2))


def surface_mask(mask):
    """Voxels with a 6-neighbour outside the mask, or on the image's face."""
    return mask & ~ndimage.binary_erosion(mask, CROSS)


def cell_areas(mask, spacing_mm):
    """Areas of the surface in the 2 x 2 x 2 cells of a mask, by google-deepmind/surface-distance's table of normals."""
    padded = np.pad(mask, 1).astype(int)
    z, y, x = padded.shape
    codes = sum(
        (128 >> (4 * dz + 2 * dy + dx)) * padded[dz : z - 1 + dz, dy : y - 1 + dy, dx : x - 1 + dx]
        for dz in (0, 1)
        for dy in (0, 1)
        for dx in (0, 1)
    )
    return monai_areas(spacing_mm)[codes]


def monai_areas(spacing_mm):
    """(256,) areas; float32 inside MONAI."""
    return create_table_neighbour_code_to_surface_area(spacing_mm)[0].numpy().astype(np.float64)


def surface_distances_of(reference, prediction, spacing_mm, surface):
    """Distances and weights of both directions, of two masks that are not empty."""
    if surface == "voxel":
        sides = [surface_mask(mask).astype(float) for mask in (reference, prediction)]
    else:
        sides = [cell_areas(mask, spacing_mm) for mask in (reference, prediction)]
    result = []
    for one, other in (sides, sides[::-1]):
        distances = ndimage.distance_transform_edt(other == 0, sampling=spacing_mm)
        result.append((distances[one > 0], one[one > 0]))
    return result


def nsd_of(reference, prediction, spacing_mm, tolerance_mm, surface):
    """NSD of two masks."""
    if not reference.any() and not prediction.any():
        return np.nan
    if not reference.any() or not prediction.any():
        return 0.0
    sides = surface_distances_of(reference, prediction, spacing_mm, surface)
    near = sum(weights[distances <= tolerance_mm].sum() for distances, weights in sides)
    return near / sum(weights.sum() for _, weights in sides)


def all_nsd(reference, prediction, number_of_classes, spacing_mm, tolerance_mm, surface):
    """(class - 1,)."""
    return np.array(
        [
            nsd_of(reference == label, prediction == label, spacing_mm, tolerance_mm, surface)
            for label in range(1, number_of_classes)
        ]
    )


def _one_hot(labels, number_of_classes):
    return torch.stack([torch.as_tensor(labels == label) for label in range(1, number_of_classes)])[None]


def _quiet(function, reference, prediction, number_of_classes, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hot = (_one_hot(labels, number_of_classes) for labels in (prediction, reference))
        return function(*hot, *arguments, include_background=True, **options)[0].numpy()


def monai_nsd(reference, prediction, number_of_classes, spacing_mm, tolerance_mm, surface):
    """(class - 1,) float32."""
    thresholds = [tolerance_mm] * (number_of_classes - 1)
    options = {"spacing": list(spacing_mm), "use_subvoxels": surface == "surfel"}
    return _quiet(compute_surface_dice, reference, prediction, number_of_classes, thresholds, **options)


def monai_hd95(reference, prediction, number_of_classes, spacing_mm):
    """(class - 1,) float32."""
    options = {"percentile": 95, "spacing": list(spacing_mm)}
    return _quiet(compute_hausdorff_distance, reference, prediction, number_of_classes, **options)


def monai_assd(reference, prediction, number_of_classes, spacing_mm):
    """(class - 1,) float32."""
    options = {"symmetric": True, "spacing": list(spacing_mm)}
    return _quiet(compute_average_surface_distance, reference, prediction, number_of_classes, **options)


def intrusions_of(tree_classes, prediction, number_of_classes, spacing_mm, connectivity=26, interface=False):
    """Sorted (class, size, distance in mm); the distance is NaN where the segment has no such surface."""
    structure = ndimage.generate_binary_structure(3, STRUCTURES[connectivity])
    found = []
    for label in range(1, number_of_classes):
        segment = prediction == label
        groups, number = ndimage.label((tree_classes == label) & ~segment, structure)
        surface = surface_mask(segment)
        if interface:
            surface = segment & ndimage.binary_dilation((prediction != 0) & ~segment, CROSS)
        distances = np.full(segment.shape, np.nan)
        if surface.any():
            distances = ndimage.distance_transform_edt(~surface, sampling=spacing_mm)
        found += [
            (label, int((groups == group).sum()), float(distances[groups == group].max()))
            for group in range(1, number + 1)
        ]
    return sorted(found)
