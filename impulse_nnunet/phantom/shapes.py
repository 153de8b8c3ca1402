"""Compiled signed distances of the standard patient's parts, mm, positive inside; approximate away from the surface.

Positions are (z, y, x) in standard mm: z from the lung apices (0) to the costophrenic recess (about 245), y from front
to back, x from the patient's right to left, both 0 mid-chest.
"""

from __future__ import annotations

import math

import numpy as np

from impulse_nnunet.phantom.compiled import compiled

HALF_WIDTH, HALF_DEPTH = 129.0, 93.0  # of the inner thorax
RIB_PITCH, RIB_SLOPE, RIB_BACK = 22.0, 0.42, 80.0
VERTEBRA_PITCH = 23.0
# (z, y, x, radius) along a vessel; a negative radius starts a new one
GREAT_VESSELS = np.array(
    [
        (122.0, -18.0, 4.0, -14.0),
        (100.0, -26.0, -8.0, 15.0),
        (78.0, -24.0, -10.0, 14.5),
        (63.0, -10.0, -2.0, 14.0),
        (60.0, 10.0, 9.0, 13.0),
        (68.0, 28.0, 18.0, 12.5),
        (86.0, 38.0, 22.0, 12.5),
        (130.0, 42.0, 20.0, 12.0),
        (190.0, 43.0, 12.0, 11.5),
        (250.0, 40.0, 4.0, 11.0),
        (320.0, 34.0, 2.0, 10.5),
        (62.0, -12.0, -4.0, -6.5),
        (40.0, -16.0, -14.0, 6.5),
        (10.0, -10.0, -22.0, 6.0),
        (-60.0, -4.0, -26.0, 5.0),
        (60.0, 2.0, 5.0, -4.5),
        (30.0, 0.0, 12.0, 4.0),
        (-60.0, -2.0, 22.0, 4.0),
        (61.0, 14.0, 13.0, -5.0),
        (30.0, 10.0, 22.0, 5.0),
        (-5.0, 2.0, 40.0, 5.0),
        (-20.0, -10.0, 90.0, 4.5),
        (130.0, -12.0, -32.0, -10.0),
        (90.0, -14.0, -28.0, 10.0),
        (55.0, -20.0, -26.0, 9.5),
        (30.0, -26.0, -27.0, 8.0),
        (5.0, -24.0, -38.0, 7.0),
        (-30.0, -14.0, -55.0, 6.0),
        (48.0, -26.0, -24.0, -7.0),
        (38.0, -32.0, 5.0, 7.0),
        (22.0, -28.0, 28.0, 6.5),
        (-20.0, -16.0, 55.0, 6.0),
        (176.0, -10.0, -22.0, -12.0),
        (230.0, 8.0, -24.0, 12.0),
        (320.0, 12.0, -22.0, 12.0),
    ]
)
CLAVICLES = np.array([(8.0, -74.0, 26.0, -6.0), (-6.0, -52.0, 80.0, 5.0), (-22.0, -20.0, 140.0, 6.0)])


@compiled
def smooth_step(value: float) -> float:
    """0 below 0, 1 above 1, smooth between."""
    t = min(1.0, max(0.0, value))
    return t * t * (3.0 - 2.0 * t)


@compiled
def smooth_union(first: float, second: float, radius: float) -> float:
    """The larger of two distances, their edge rounded."""
    h = max(radius - abs(first - second), 0.0) / radius
    return max(first, second) + h * h * radius * 0.25


@compiled
def smooth_intersection(first: float, second: float, radius: float) -> float:
    """The smaller of two distances, their edge rounded."""
    return -smooth_union(-first, -second, radius)


@compiled
def ellipsoid(z: float, y: float, x: float, rz: float, ry: float, rx: float) -> float:
    """Distance to an ellipsoid around 0, of first order."""
    k = math.sqrt((z / rz) ** 2 + (y / ry) ** 2 + (x / rx) ** 2)
    gradient = math.sqrt((z / (rz * rz)) ** 2 + (y / (ry * ry)) ** 2 + (x / (rx * rx)) ** 2)
    if gradient < 1e-9:
        return min(rz, ry, rx)
    return min(min(rz, ry, rx), k * (1.0 - k) / gradient)


@compiled
def superellipse(y: float, x: float, half_depth: float, half_width: float, power: float) -> float:
    """Radial distance to a superellipse around 0."""
    radius = math.sqrt(y * y + x * x)
    if radius < 1e-6:
        return min(half_depth, half_width)
    k = ((abs(y) / half_depth) ** power + (abs(x) / half_width) ** power) ** (1.0 / power)
    return radius / k - radius


@compiled
def tubes(z: float, y: float, x: float, points: np.ndarray) -> float:
    """Distance to chains of capsules (z, y, x, radius)."""
    best = -1e3
    for i in range(1, points.shape[0]):
        if points[i, 3] < 0.0:
            continue
        az, ay, ax = points[i - 1, 0], points[i - 1, 1], points[i - 1, 2]
        bz, by, bx = points[i, 0] - az, points[i, 1] - ay, points[i, 2] - ax
        t = ((z - az) * bz + (y - ay) * by + (x - ax) * bx) / (bz * bz + by * by + bx * bx)
        t = min(1.0, max(0.0, t))
        radius = abs(points[i - 1, 3]) * (1.0 - t) + points[i, 3] * t
        gap = math.sqrt((z - az - t * bz) ** 2 + (y - ay - t * by) ** 2 + (x - ax - t * bx) ** 2)
        best = max(best, radius - gap)
    return best


@compiled
def growth(z: float) -> float:
    """Width of the inner thorax at a height, as a share of its largest."""
    s = min(1.0, max(0.0, (z + 20.0) / 165.0))
    return math.sqrt(max(0.0, 1.0 - (1.0 - s) ** 2.2))


@compiled
def cavity(z: float, y: float, x: float) -> float:
    """The inner thorax."""
    g = max(0.35, growth(z))
    return superellipse(y - 8.0 + 8.0 * g, x, HALF_DEPTH * g, HALF_WIDTH * g, 2.25)


@compiled
def diaphragm(z: float, y: float, x: float, right_dome: float, left_dome: float) -> float:
    """Distance under the diaphragm."""
    front = y + 8.0 < 0.0
    depth = ((y + 8.0) / (108.0 if front else 86.0)) ** 2
    right = 190.0 + right_dome + 52.0 * (((x + 66.0) / 74.0) ** 2 + depth)
    left = 196.0 + left_dome + 50.0 * (((x - 66.0) / 72.0) ** 2 + depth)
    surface = -smooth_union(-right, -left, 12.0)
    return (z - max(surface, 140.0)) * 0.75


@compiled
def heart(z: float, y: float, x: float, size: float, shift: float) -> float:
    """The heart with its pericardium."""
    x = x - 5.0 - shift
    left = ellipsoid(z - 164.0, y + 30.0 + 0.12 * (x - 30.0), x - 30.0, 42.0 * size, 40.0 * size, 46.0 * size)
    right = ellipsoid(z - 156.0, y + 34.0, x + 6.0, 42.0 * size, 36.0 * size, 42.0 * size)
    atria = ellipsoid(z - 132.0, y - 2.0, x - 2.0, 28.0, 24.0, 38.0 * size)
    return smooth_union(smooth_union(left, right, 14.0), atria, 12.0)


@compiled
def heart_blood(z: float, y: float, x: float, size: float, shift: float) -> float:
    """The heart's chambers."""
    x = x - 5.0 - shift
    left = ellipsoid(z - 166.0, y + 28.0 + 0.15 * (x - 36.0), x - 36.0, 30.0 * size, 24.0 * size, 28.0 * size)
    right = ellipsoid(z - 158.0, y + 46.0, x - 2.0, 32.0 * size, 18.0 * size, 28.0 * size)
    right_atrium = ellipsoid(z - 150.0, y + 22.0, x + 30.0, 28.0, 24.0 * size, 16.0)
    left_atrium = ellipsoid(z - 132.0, y - 6.0, x - 2.0, 20.0, 16.0, 30.0)
    return max(max(left, right), max(right_atrium, left_atrium))


@compiled
def mediastinum(z: float, y: float, x: float) -> float:
    """The space between the lungs, the heart apart."""
    half = 4.0 + 20.0 * smooth_step((y + 76.0) / 46.0)
    half -= 4.0 * smooth_step((z - 130.0) / 40.0) * smooth_step((y + 10.0) / 30.0)
    half += 0.9 * max(0.0, y - 66.0)  # the gutters beside the spine are round
    half += 6.0 * smooth_step((40.0 - z) / 40.0)
    shift = 2.5 + 4.5 * smooth_step((z - 60.0) / 60.0)
    return half - abs(x - shift)


@compiled
def lungs(z: float, y: float, x: float, inner: float, below: float, heart_mm: float, vessels_mm: float) -> float:
    """Both lungs; the last four are the distances of cavity, diaphragm, heart and great vessels."""
    side = smooth_intersection(inner - 2.0, -below - 1.5, 5.0)
    side = smooth_intersection(side, -mediastinum(z, y, x), 10.0)
    side = smooth_intersection(side, -heart_mm - 3.0, 8.0)
    side = smooth_intersection(side, -vessels_mm - 1.5, 6.0)
    if z < 72.0:
        apex = ellipsoid(z - 72.0, y - 4.0, abs(x) - 60.0, 72.0, 86.0, 64.0)
        side = smooth_intersection(side, apex, 8.0)
    return side


@compiled
def ribs(z: float, y: float, x: float, outer: float, phase: float) -> tuple[float, float]:
    """Ribs and their cartilage; ``outer`` is the distance outside the inner thorax."""
    height = z - RIB_SLOPE * (RIB_BACK - y) + phase + 14.0
    number = min(11.0, max(0.0, math.floor(height / RIB_PITCH + 0.5)))
    across = (height - number * RIB_PITCH) * 0.92
    k = math.sqrt((across / 6.3) ** 2 + ((outer - 5.5) / 3.7) ** 2)
    bar = min((1.0 - k) * 3.7, abs(x) - 19.0)
    junction = -46.0 + 0.22 * (z - 60.0)
    return min(bar, y - junction), min(bar, junction + 0.5 - y)


@compiled
def sternum(z: float, y: float, x: float, outer: float) -> float:
    """The breastbone."""
    half = 16.0 + 10.0 * smooth_step((52.0 - z) / 26.0)
    plate = smooth_intersection(5.2 - abs(outer - 8.0), half - abs(x), 3.0)
    return min(plate, min(z - 14.0, 172.0 - z), -y)


@compiled
def scapula(z: float, y: float, x: float, outer: float) -> float:
    """The shoulder blades with their spines."""
    centre = 17.0 + 0.10 * (abs(x) - 95.0)
    edge = min(min(abs(x) - 60.0 - 0.2 * abs(z - 40.0), y - 20.0), min(z + 4.0, 122.0 - z - 0.3 * (abs(x) - 70.0)))
    plate = min(2.2 + 2.0 * smooth_step((28.0 - edge) / 28.0) - abs(outer - centre), edge)
    spine = min(min(3.0 - abs(z - 26.0 + 0.22 * (abs(x) - 70.0)), 12.0 - abs(outer - centre - 10.0)), edge)
    return max(plate, spine)


@compiled
def spine(z: float, y: float, x: float, kyphosis: float) -> tuple[float, float]:
    """Vertebrae and their discs."""
    centre = 50.0 + kyphosis * math.sin(math.pi * min(1.0, max(0.0, (z + 20.0) / 270.0)))
    along = z - VERTEBRA_PITCH * math.floor(z / VERTEBRA_PITCH + 0.5)
    dy = y - centre
    waist = 1.5 * (1.0 - min(1.0, abs(along) / 9.0))
    column = ellipsoid(0.0, dy, x, 1e3, 15.0 - waist, 18.0 - waist)
    body = min(column, 9.3 - abs(along))
    disc = min(column - 1.0, abs(along) - 9.3)
    canal = math.sqrt((dy - 24.0) ** 2 + x * x)
    arch = min(3.0 - abs(canal - 12.0), 7.5 - abs(along - 1.0))
    transverse = min(
        min(4.0 - abs(dy - 26.0 - 0.25 * abs(x)), 5.5 - abs(along + 1.0)), min(abs(x) - 10.0, 32.0 - abs(x))
    )
    tilt = along - 0.55 * (dy - 36.0) + 6.0
    process = min(min(3.6 - abs(x), 6.0 - abs(tilt)), min(dy - 33.0, 58.0 - dy))
    return max(max(body, arch), max(transverse, process)), disc


@compiled
def skin(z: float, y: float, x: float, fat: float, muscle: float, breast: float) -> float:
    """The body's surface."""
    half_width = HALF_WIDTH + muscle + fat + 10.0 + 12.0 * smooth_step((70.0 - z) / 80.0)
    half_depth = HALF_DEPTH + muscle + 0.8 * fat + 7.0 - 10.0 * smooth_step((40.0 - z) / 80.0)
    trunk = superellipse(y - 8.0, x, half_depth, half_width, 2.5)
    if breast > 0.0 and y < -20.0:
        mound = ellipsoid(z - 128.0, y + 84.0, abs(x) - 72.0, 62.0 * breast, 50.0 * breast, 60.0 * breast)
        trunk = smooth_union(trunk, mound, 24.0)
    return trunk


@compiled
def chest_muscle(z: float, y: float, x: float, outer: float, surface: float, fat: float, muscle: float) -> float:
    """The outer side of the chest wall's muscles."""
    front, back, side = max(0.0, -y / 100.0), max(0.0, y / 100.0), min(1.2, abs(x) / 140.0)
    thickness = 0.62 * muscle
    thickness += 13.0 * smooth_step(front - 0.25) * smooth_step(abs(x) / 30.0 - 0.2) * smooth_step((135.0 - z) / 60.0)
    thickness += 16.0 * smooth_step(1.4 * back - 0.2) * smooth_step((150.0 - z) / 60.0)
    thickness += 12.0 * smooth_step(2.0 * back - 1.0) * smooth_step((75.0 - abs(x)) / 30.0)
    thickness += 14.0 * side * side * smooth_step((120.0 - z) / 80.0)
    thickness += 40.0 * smooth_step((20.0 - z) / 50.0)
    cover = fat * (0.75 + 0.5 * side * side) + 2.0
    return smooth_intersection(thickness - outer, surface - cover, 6.0)


@compiled
def belly(z: float, y: float, x: float, inner: float, below: float) -> tuple[float, float, float]:
    """Liver, stomach with spleen, and the gas in the stomach."""
    under = min(below - 2.5, inner - 2.5)
    liver = smooth_intersection(under, 42.0 - x - 0.5 * max(0.0, z - 200.0) - 0.45 * max(0.0, y - 5.0), 14.0)
    stomach = min(ellipsoid(z - 236.0, y + 6.0, x - 64.0, 46.0, 56.0, 46.0), under)
    spleen_mm = min(ellipsoid(z - 236.0, y - 48.0, x - 98.0, 46.0, 36.0, 24.0), under)
    gas = min(stomach - 3.0, -y - 12.0)
    return liver, max(stomach, spleen_mm), gas
