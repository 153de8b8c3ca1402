"""Small random networks and grids on which the device path is held to plain PyTorch."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from impulse_nnunet.decoding import EncodedBox, OutputGrid
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import inside
from impulse_nnunet.network import DenseDecoder, NetworkSettings, build_network
from impulse_nnunet.network.heads import PointHead

TURNED = Box(
    Rotation.from_euler("xyz", (0.3, -0.2, 0.5)).as_matrix() @ np.diag([0.7, 0.6, 0.8]), np.array([0.1, 0, -0.1])
)
BOXES = {
    "whole": Box.whole(),
    "part": Box.from_faces([-0.9, -1, -0.7], [0.8, 0.9, 1]),
    "leaves the image": Box.from_faces([-1.4, -0.5, 0.1], [0.3, 1.6, 0.9]),
    "turned": TURNED,
    "mirrored": Box(np.diag([1, -0.9, 0.8]), np.array([0, 0.1, 0])),
}
GRID = OutputGrid.native((7, 9, 11))  # no side is a multiple of a tile's
PARTS = {
    "ImPulSe+": {},
    "correction alone": {"template": False, "deformation": False},
    "no deformation": {"deformation": False},
    "no correction": {"correction": False},
}
SIZES = {  # features, strides, width of the heads, template
    "two levels": ((4, 8), ((1, 1, 1), (2, 2, 2)), 8, (4, 6, 8)),
    "four levels": ((6, 10, 20, 24), ((1, 1, 1), (2, 2, 2), (1, 2, 2), (2, 1, 2)), 64, (5, 7, 9)),
    "one voxel thick": ((4, 8), ((1, 1, 1), (2, 2, 1)), 20, (1, 2, 1)),
}


def member(classes=3, sizes="two levels", parts="ImPulSe+", seed=0, input_grid=(4, 8, 16)):
    """A decoder with random weights everywhere, and a random pyramid."""
    torch.manual_seed(seed)
    features, strides, width, template = SIZES[sizes]
    settings = NetworkSettings(
        features_per_stage=features,
        strides=strides,
        blocks_per_stage=(1,) * len(features),
        template_grid=template,
        head_features=width,
        **PARTS[parts],
    )
    network = build_network(settings, 1, classes).eval()
    decoder = network.decoder
    if decoder.template is not None:
        decoder.template.set_logits(torch.randn(decoder.template.logits.shape[1:]) * 3)
    with torch.no_grad():
        for head in (decoder.deformation, decoder.correction):
            if isinstance(head, PointHead):
                head.last.weight.normal_(0, 0.3)
                head.last.bias.normal_(0, 0.3)
                for norm in head.norms:
                    norm.weight.uniform_(0.5, 1.5)
                    norm.bias.normal_()
        return decoder, [level.float() for level in network.encode(torch.randn(1, 1, *input_grid))]


def dense_member(classes=5, seed=0):
    torch.manual_seed(seed)
    return DenseDecoder(classes), [torch.randn(1, classes, 4, 5, 6) * 3]


def expected(members, box, grid=GRID):
    """Logits (class, d, h, w) and displacement (d, h, w, 3) in image positions, by the network's own decoder."""
    index = np.stack(np.unravel_index(np.arange(np.prod(grid.shape)), grid.shape), -1)
    exact = box.from_image(grid.positions(index))
    points = torch.from_numpy(exact.astype(np.float32))[None]
    with torch.no_grad():
        each = [decoder(pyramid, points) for decoder, pyramid in members]
    logits = np.mean([one.logits[0].numpy() for one in each], axis=0)
    moved = np.mean([one.displacement[0].numpy() for one in each], axis=0) @ box.matrix.T
    outside = ~inside(exact)
    logits[outside], moved[outside] = -30, 0
    logits[outside, 0] = 0
    return logits.T.reshape(-1, *grid.shape), moved.reshape(*grid.shape, 3)


def plain_box(members, box):
    """A box whose members keep decoder and pyramid, as they do on a GPU."""
    return EncodedBox(members, box, plain=True)


def check(found, logits, tie=1e-3):
    """Labels are those of the largest logits, wherever the largest leads by more than a tie."""
    best = np.sort(logits, 0)
    clear = best[-1] - best[-2] > tie
    assert clear.mean() > 0.9
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(found[clear], logits.argmax(0)[clear])
