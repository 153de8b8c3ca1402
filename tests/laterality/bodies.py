"""Made-up bodies: two lungs, a heart on the left and a liver on the right, each a little different."""

import numpy as np

Z_Y_X = np.array([[0.0, 0, 3, 0], [0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]])  # (d, h, w) to LPS, 3 mm


def body(seed, shape=(30, 32, 40)):
    """(d, h, w): foot to head, front to back, right to left."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    dz, dy, dx = rng.normal(0, 0.04, 3)

    def ball(centre, radii):
        radii = np.asarray(radii) * rng.uniform(0.9, 1.1)
        offsets = (z - centre[0] - dz, y - centre[1] - dy, x - centre[2] - dx)
        return sum((offset / radius) ** 2 for offset, radius in zip(offsets, radii, strict=True)) < 1

    image = np.full(shape, -1000.0)
    image[ball((0, 0, 0), (2, 0.8, 0.9))] = 40
    image[ball((0.1, 0, -0.42), (0.75, 0.6, 0.33)) | ball((0.1, 0, 0.42), (0.75, 0.6, 0.31))] = -850
    image[ball((-0.1, -0.25, 0.15), (0.35, 0.3, 0.28))] = 60  # heart
    image[ball((-0.75, 0, -0.35), (0.4, 0.5, 0.45))] = 70  # liver
    return image + rng.normal(0, 20, shape)
