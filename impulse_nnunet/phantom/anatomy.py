"""One patient's anatomy in millimetres, the same whatever the image's grid will be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.body import body_fields
from impulse_nnunet.phantom.bronchi import accompany, grow_bronchi
from impulse_nnunet.phantom.central import Skeleton, central_airway, central_arteries, place_hubs
from impulse_nnunet.phantom.compiled import compiled
from impulse_nnunet.phantom.grids import Grid, working_grid
from impulse_nnunet.phantom.lobes import add_fissures, lobes_of, meet_lobe_shares
from impulse_nnunet.phantom.patient import Patient, draw_patient
from impulse_nnunet.phantom.randomness import stream
from impulse_nnunet.phantom.segments import first_territories, segment_fields
from impulse_nnunet.phantom.settings import PhantomSettings
from impulse_nnunet.phantom.shapes import tubes
from impulse_nnunet.phantom.tree import Tree, along_branches
from impulse_nnunet.phantom.veins import grow_veins

HILUM_MM = 1.5  # tissue around central bronchi and arteries
LUNG_MARGIN_MM = 15.0  # kept around the lungs
BRANCH_DEPTH_MM = 2.0  # branches stay so far from the lungs' surface
TEXTURE_MM = 22.0  # length of the smooth variation of the lung's density


class Anatomy(NamedTuple):
    """What a case's images are made of.

    Args:
        patient: Patient as drawn.
        grid: The working grid.
        body: (d, h, w, field) float32 signed distances, mm.
        lung_grid: The part of the working grid around the lungs.
        lung_body: The same of ``body``, a view.
        membership: (d, h, w, 18) float32 on the lungs' grid; within a lobe the largest field names the segment.
        airway: The lumen.
        artery: From the trunk.
        vein: From the left atrium.
        intersegmental: (n,) which pieces of the veins are intersegmental.
    """

    patient: Patient
    grid: Grid
    body: np.ndarray
    lung_grid: Grid
    lung_body: np.ndarray
    membership: np.ndarray
    airway: Tree
    artery: Tree
    vein: Tree
    intersegmental: np.ndarray


def make_anatomy(settings: PhantomSettings, case: int) -> Anatomy:
    """Make the anatomy of a case, deterministic by the seed and the case's number."""
    patient, whole_grid, seed = draw_patient(settings, case), working_grid(), settings.seed
    whole = body_fields(whole_grid, patient.body, patient.warp)
    whole[..., f.TEXTURE] = _texture(whole_grid, seed, case)
    body, grid = _around_lungs(whole, whole_grid)
    add_fissures(body, grid, patient, seed, case)
    lobes = _inside(body)
    hubs = place_hubs(lobes, _depth(lobes, grid), grid, patient)
    bronchi, arteries = central_airway(hubs, patient), central_arteries(hubs, patient, stream(seed, case, "hila"))
    for skeleton in (bronchi, arteries):
        _carve(body, skeleton, grid)
    meet_lobe_shares(body, patient)
    lobes = _inside(body)
    territories = first_territories(lobes, grid, patient, seed, case)
    allowed = np.where(body[..., f.LUNG] > BRANCH_DEPTH_MM, lobes, 0)
    airway = grow_bronchi(territories, allowed, _depth(territories, grid), hubs, bronchi, grid, patient, seed, case)
    artery = accompany(airway, arteries, lobes, grid, seed, case)
    points = [along_branches(tree, grid.spacing_mm[0]) for tree in (airway, artery)]
    places, labels = (np.concatenate(columns) for columns in zip(*points, strict=True))
    membership = segment_fields(body, lobes_of(body), grid, places[labels > 0], labels[labels > 0])
    vein, between = grow_veins(membership, body, lobes, airway, grid, patient, seed, case)
    return Anatomy(patient, whole_grid, whole, grid, body, membership, airway, artery, vein, between)


def _around_lungs(body: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    """The part of the fields that holds the lungs, a view, and its grid."""
    near = body[..., f.LUNG] > -LUNG_MARGIN_MM
    box = ndimage.find_objects(near.astype(np.uint8))[0]
    first = grid.positions(np.array([[part.start for part in box]]))[0]
    size = tuple(part.stop - part.start for part in box)
    z, y, x = (float(value) for value in first)
    return body[box], Grid((z, y, x), grid.spacing_mm, (size[0], size[1], size[2]))


def _inside(body: np.ndarray) -> np.ndarray:
    return np.where(body[..., f.LUNG] > 0, lobes_of(body), 0).astype(np.uint8)


def _depth(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """Distance of each voxel to the nearest one of another label, mm, 0 outside."""
    depth = np.zeros(labels.shape)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            own = np.pad(labels[box] == label, 1)
            inner = ndimage.distance_transform_edt(own, sampling=grid.spacing_mm)[1:-1, 1:-1, 1:-1]
            depth[box] = np.maximum(depth[box], inner)
    return depth


def _texture(grid: Grid, seed: int, case: int) -> np.ndarray:
    coarse = tuple(int(np.ceil(n * s / TEXTURE_MM)) + 3 for n, s in zip(grid.size, grid.spacing_mm, strict=True))
    noise = stream(seed, case, "texture").normal(size=coarse)
    zoomed = ndimage.zoom(noise, [n / c for n, c in zip(grid.size, coarse, strict=True)], order=1)
    return ndimage.gaussian_filter(zoomed, 2.0) * 1.5


def _carve(body: np.ndarray, tree: Skeleton, grid: Grid) -> None:
    """Take a central tree with some tissue around it out of the lungs, in place."""
    for node in np.flatnonzero(tree.parents >= 0):
        ends = np.stack([tree.points_mm[tree.parents[node]], tree.points_mm[node]])
        radius = float(tree.radii_mm[node]) + HILUM_MM
        low, high = grid.indices(ends.min(0)[None] - radius - 6)[0], grid.indices(ends.max(0)[None] + radius + 6)[0] + 1
        box = body[low[0] : high[0], low[1] : high[1], low[2] : high[2], f.LUNG]
        if box.size and (box > -6).any():
            chain = np.concatenate([ends, [[radius], [radius]]], axis=1)
            _subtract(box, chain, grid.positions(low[None])[0], grid.spacing_mm[0])


@compiled
def _subtract(distance: np.ndarray, chain: np.ndarray, first: np.ndarray, spacing: float) -> None:
    for k in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            for i in range(distance.shape[2]):
                inside = tubes(first[0] + k * spacing, first[1] + j * spacing, first[2] + i * spacing, chain)
                distance[k, j, i] = min(distance[k, j, i], -inside)
