"""All fields of one body on the working grid."""

from __future__ import annotations

import math

import numba
import numpy as np

from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom import shapes
from impulse_nnunet.phantom.compiled import compiled, parallel
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.patient import Body, Warp

FAR_MM = -20.0  # distances are not followed farther outside


def body_fields(grid: Grid, body: Body, warp: Warp) -> np.ndarray:
    """Signed distances of a patient's parts.

    Args:
        grid: The working grid.
        body: The patient's shape.
        warp: The patient's displacement from the standard patient.

    Returns:
        (d, h, w, field) float32, mm; fields as in :mod:`impulse_nnunet.phantom.fields`. The fissures and the texture
        are left at zero.
    """
    out = np.zeros((*grid.size, f.NUMBER_OF_FIELDS), np.float32)
    _fill(out, np.array(grid.first_mm), np.array(grid.spacing_mm), body, warp)
    return out


@parallel
def _fill(out: np.ndarray, first: np.ndarray, spacing: np.ndarray, body: Body, warp: Warp) -> None:
    for k in numba.prange(out.shape[0]):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                pz = first[0] + k * spacing[0]
                py = first[1] + j * spacing[1]
                px = first[2] + i * spacing[2]
                z, y, x = pz, py, px
                for n in range(warp.phases.size):
                    wave = warp.frequencies[n]
                    s = math.sin(wave[0] * pz + wave[1] * py + wave[2] * px + warp.phases[n])
                    z += s * warp.amplitudes[n, 0]
                    y += s * warp.amplitudes[n, 1]
                    x += s * warp.amplitudes[n, 2]
                _fill_one(out[k, j, i], z / body.scale_z, y / body.scale_y, x / body.scale_x, body)


@compiled
def _fill_one(out: np.ndarray, z: float, y: float, x: float, body: Body) -> None:
    out[:] = FAR_MM
    out[f.SIDE], out[f.OBLIQUE], out[f.HORIZONTAL], out[f.TEXTURE] = x, 0.0, 0.0, 0.0
    surface = shapes.skin(z, y, x, body.fat, body.muscle, body.breast)
    out[f.SKIN] = surface
    if surface < FAR_MM:
        return
    inner = shapes.cavity(z, y, x)
    out[f.CAVITY] = inner
    out[f.MUSCLE] = shapes.chest_muscle(z, y, x, -inner, surface, body.fat, body.muscle)
    if z < 25.0:
        out[f.BONE] = max(FAR_MM, shapes.tubes(z, y, abs(x), shapes.CLAVICLES))
    if abs(x) < (62.0 if z > 22.0 else 112.0) and inner > -90.0:
        out[f.VESSELS] = max(FAR_MM, shapes.tubes(z, y, x, shapes.GREAT_VESSELS))
        out[f.OESOPHAGUS] = max(FAR_MM, 7.5 - math.sqrt((x - 4.0) ** 2 + ((y - 30.0) * 1.4) ** 2))
    if inner < 12.0:
        rib, cartilage = shapes.ribs(z, y, x, -inner, body.rib_phase)
        flat = max(shapes.sternum(z, y, x, -inner), shapes.scapula(z, y, x, -inner))
        out[f.BONE], out[f.CARTILAGE] = max(out[f.BONE], rib, flat), max(FAR_MM, cartilage)
    if abs(x) < 45.0 and y > 20.0:
        vertebra, disc = shapes.spine(z, y, x, body.kyphosis)
        out[f.BONE], out[f.CARTILAGE] = max(out[f.BONE], vertebra), max(out[f.CARTILAGE], disc)
    if inner > FAR_MM:
        _fill_chest(out, z, y, x, inner, body)


@compiled
def _fill_chest(out: np.ndarray, z: float, y: float, x: float, inner: float, body: Body) -> None:
    below = shapes.diaphragm(z, y, x, body.right_dome, body.left_dome)
    heart = shapes.heart(z, y, x, body.heart, body.heart_x)
    out[f.BELOW], out[f.HEART] = below, heart
    out[f.BLOOD] = shapes.heart_blood(z, y, x, body.heart, body.heart_x)
    out[f.LUNG] = shapes.lungs(z, y, x, inner, below, heart, out[f.VESSELS])
    out[f.LIVER], out[f.ORGANS], out[f.GAS] = shapes.belly(z, y, x, inner, below)
