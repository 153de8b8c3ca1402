"""The CT image: tissues by their signed distances, vessels, bronchi with walls, fissures, texture and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from scipy import ndimage

from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.compiled import compiled, parallel
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.rasterise import CODES_PER_MM, OUTSIDE
from impulse_nnunet.phantom.voxels import interpolate_row, lattice_positions

SLAB = 16  # slices at a time
TABLE_RISE_MM = 1 / 1100  # of the table's top to the sides, per mm squared
SUBSLICE_MM = 1.7  # thicker slices are averaged from thinner ones
AIR, FAT, MUSCLE, SKIN, LUMEN, WALL, LIVER, ORGAN, CARTILAGE, MARROW, CORTEX = (
    -1000.0,
    -100.0,
    52.0,
    30.0,
    -985.0,
    40.0,
    58.0,
    45.0,
    95.0,
    180.0,
    560.0,
)


class Scan(NamedTuple):
    """How a case is scanned; a named tuple, because compiled code reads it."""

    lung_hu: float  # of the parenchyma in the middle of the chest
    gravity: float  # HU/mm from front to back
    mottle: float  # HU, of the smooth variation
    fissure: float  # HU above the lung, for a fissure as thick as a voxel
    artery_hu: float
    vein_hu: float
    aorta_hu: float
    heart_hu: float
    organ_gain: float  # HU that contrast adds to liver and spleen
    noise_hu: float
    table_mm: float  # gap between back and table


def draw_scan(contrast: bool, noise_hu: tuple[float, float], rng: np.random.Generator) -> Scan:
    """Draw a scan: blood of 35 to 55 HU without contrast, 180 to 380 HU with it."""
    plain = rng.uniform(35, 55)
    artery = rng.uniform(200, 380)
    later = rng.uniform(0.75, 1.05)
    draws = rng.uniform(size=6)
    return Scan(
        lung_hu=-865.0 + 45 * draws[0],
        gravity=0.25 + 0.3 * draws[1],
        mottle=6.0 + 8 * draws[2],
        fissure=80.0 + 60 * draws[3],
        artery_hu=artery if contrast else plain,
        vein_hu=max(180.0, artery * later) if contrast else plain,
        aorta_hu=max(180.0, artery * later * 0.95) if contrast else plain,
        heart_hu=max(180.0, artery * later * 0.97) if contrast else plain,
        organ_gain=35.0 if contrast else 0.0,
        noise_hu=noise_hu[0] + (noise_hu[1] - noise_hu[0]) * draws[4],
        table_mm=4.0 + 8 * draws[5],
    )


def subslices(grid: Grid) -> int:
    """Number of thinner slices that are averaged into one slice."""
    return max(1, math.ceil(grid.spacing_mm[0] / SUBSLICE_MM - 1e-6))


def make_ct(
    body: np.ndarray,
    working: Grid,
    fine: Grid,
    trees: Sequence[np.ndarray],
    scan: Scan,
    number: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scan a body.

    Args:
        body: (d, h, w, field) on the working grid.
        working: The working grid.
        fine: Grid of the thin slices, ``number`` of them for a slice of the result.
        trees: Distances on the fine grid of bronchial lumen, bronchi with their walls, arteries and veins, as
            ``paint_distance`` gives them.
        scan: How it is scanned.
        number: Thin slices of a slice.
        rng: Random numbers of the noise.

    Returns:
        (d, h, w) int16, HU.
    """
    depth = fine.size[0] // number
    places = [lattice_positions(fine, working, axis) for axis in range(3)]
    back = working.first_mm[1] + working.spacing_mm[1] * float(np.flatnonzero((body[..., f.SKIN] > 0).any((0, 2)))[-1])
    table = _table(fine, back + scan.table_mm)
    out = np.empty((depth, *fine.size[1:]), np.int16)
    for first in range(0, depth, SLAB):
        last = min(depth, first + SLAB)
        thin = slice(first * number, last * number)
        part = np.empty(((last - first) * number, *fine.size[1:]), np.float32)
        _compose(
            part,
            body,
            places[0][thin],
            places[1],
            places[2],
            *(tree[thin] for tree in trees),
            table,
            scan,
            float(np.cbrt(fine.volume_mm3)),
            (working.first_mm[1], working.spacing_mm[1]),
        )
        image = part.reshape(last - first, number, *fine.size[1:]).mean(1, dtype=np.float32) if number > 1 else part
        image += _noise(image.shape, fine, scan.noise_hu, rng)
        out[first:last] = np.clip(np.rint(image), -1024, 3071)
    return out


def _table(grid: Grid, top_mm: float) -> np.ndarray:
    """(h, w) float32 HU of a slice without a patient: air, and the table's shell and foam."""
    y = grid.first_mm[1] + np.arange(grid.size[1])[:, None] * grid.spacing_mm[1]
    x = grid.first_mm[2] + np.arange(grid.size[2])[None] * grid.spacing_mm[2]
    under = y - (top_mm - TABLE_RISE_MM * x**2)
    thickness = 1.3 + grid.spacing_mm[1] / 2
    shell = np.clip(thickness - np.minimum(np.abs(under - 1.5), np.abs(under - 28)), 0, 1)
    return np.where((under > 0) & (under < 28), -955.0, AIR).astype(np.float32) + (300 * shell).astype(np.float32)


def _noise(shape: tuple[int, ...], grid: Grid, sigma_hu: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that is correlated within a slice over about a millimetre, as a kernel for soft tissue leaves it."""
    white = rng.standard_normal(shape, dtype=np.float32)
    widths = [0.55 / spacing for spacing in grid.spacing_mm[1:]]
    if max(widths) < 0.3:
        return white * np.float32(sigma_hu)
    soft = white
    for axis, width in zip((1, 2), widths, strict=True):
        soft = ndimage.gaussian_filter1d(soft, width, axis=axis, mode="wrap", truncate=3.0)
    gain = 1.0
    for width in widths:
        x = np.arange(-int(3 * width + 0.5), int(3 * width + 0.5) + 1)
        kernel = np.exp(-0.5 * (x / width) ** 2)
        gain *= float(np.sqrt(((kernel / kernel.sum()) ** 2).sum()))
    return soft * np.float32(sigma_hu / gain)


@parallel
def _compose(
    out: np.ndarray,
    body: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    lumen: np.ndarray,
    bronchus: np.ndarray,
    artery: np.ndarray,
    vein: np.ndarray,
    table: np.ndarray,
    scan: Scan,
    voxel: float,
    y_axis: tuple[float, float],
) -> None:
    for k in numba.prange(out.shape[0]):
        row = np.empty((body.shape[2], body.shape[3]))
        here = np.empty(body.shape[3])
        for j in range(out.shape[1]):
            interpolate_row(body, z[k], y[j], row)
            behind = y_axis[0] + y[j] * y_axis[1]
            on_grid = 0.0 < y[j] < body.shape[1] - 1.01
            for i in range(out.shape[2]):
                left = int(x[i])
                b = x[i] - left
                surface = (1 - b) * row[left, f.SKIN] + b * row[left + 1, f.SKIN]
                if surface < -voxel or not on_grid:
                    out[k, j, i] = table[j, i]
                    continue
                for n in range(body.shape[3]):
                    here[n] = (1 - b) * row[left, n] + b * row[left + 1, n]
                value = _tissue(here, behind, scan, voxel)
                value = _blended(value, vein[k, j, i], scan.vein_hu, voxel)
                value = _blended(value, artery[k, j, i], scan.artery_hu, voxel)
                value = _blended(value, bronchus[k, j, i], WALL, voxel)
                value = _blended(value, lumen[k, j, i], LUMEN, voxel)
                out[k, j, i] = table[j, i] + (value - table[j, i]) * _share(surface, voxel)


@compiled
def _share(inside: float, voxel: float) -> float:
    """The share of a voxel that lies inside a surface at a signed distance."""
    return min(1.0, max(0.0, inside / voxel + 0.5))


@compiled
def _tissue(here: np.ndarray, behind: float, scan: Scan, voxel: float) -> float:
    """HU of everything but the lungs' trees."""
    wave = here[f.TEXTURE]
    value = FAT + 6.0 * wave
    depth = here[f.SKIN]
    value += (SKIN - value) * _share(1.8 - depth, voxel)
    inner = here[f.CAVITY]
    value += (MUSCLE + 4.0 * wave - value) * _share(here[f.MUSCLE], voxel)
    if inner > -30.0 and here[f.MUSCLE] > 0.0:
        # fat between the layers of muscle, and under the ribs
        layer = 1.3 + 0.9 * wave - abs(inner + 11.5 + 2.0 * wave)
        value += (FAT - value) * 0.8 * _share(layer, voxel)
    value += (FAT - value) * _share(inner, voxel)
    if inner > -voxel:
        value = _inside_chest(value, here, scan, voxel)
    value += (CARTILAGE - value) * _share(here[f.CARTILAGE], voxel)
    bone = here[f.BONE]
    if bone > -voxel:
        marrow = _share(bone - 1.7, max(voxel, 0.8))
        value += (CORTEX + (MARROW + 40.0 * wave - CORTEX) * marrow - value) * _share(bone, voxel)
    lung = here[f.LUNG]
    if lung > -voxel:
        air = scan.lung_hu + scan.gravity * behind + scan.mottle * wave
        seam = max(_seam(here[f.OBLIQUE], voxel), _seam(here[f.HORIZONTAL], voxel) if here[f.OBLIQUE] < 0.0 else 0.0)
        value += (air + scan.fissure * seam - value) * _share(lung, voxel)
    return value


@compiled
def _seam(distance: float, voxel: float) -> float:
    """How much of a voxel a fissure a millimetre thick fills, softened by the scanner."""
    width = math.sqrt(0.45 * 0.45 + 0.16 * voxel * voxel)
    return 0.62 / width * math.exp(-0.5 * (distance / width) ** 2) if abs(distance) < 4.0 * width else 0.0


@compiled
def _inside_chest(value: float, here: np.ndarray, scan: Scan, voxel: float) -> float:
    below, inner = here[f.BELOW], here[f.CAVITY]
    value += (MUSCLE - value) * _share(1.6 - abs(below), voxel) * _share(inner, voxel)
    wave = here[f.TEXTURE]
    value += (LIVER + scan.organ_gain - value) * _share(here[f.LIVER], voxel)
    value += (ORGAN + 0.5 * scan.organ_gain + 4.0 * wave - value) * _share(here[f.ORGANS], voxel)
    value += (AIR - value) * _share(here[f.GAS], voxel)
    value += (MUSCLE - 8.0 - value) * _share(here[f.OESOPHAGUS], voxel)
    value += (MUSCLE - 6.0 + 1.4 * scan.organ_gain - value) * _share(here[f.HEART], voxel)
    value += (scan.heart_hu - value) * _share(here[f.BLOOD], voxel)
    value += (scan.aorta_hu - value) * _share(here[f.VESSELS], voxel)
    return value


@compiled
def _blended(value: float, code: int, tube_hu: float, voxel: float) -> float:
    """HU with a tube whose distance is known as a code."""
    if code == OUTSIDE:
        return value
    return value + (tube_hu - value) * _share(code / CODES_PER_MM, voxel)
