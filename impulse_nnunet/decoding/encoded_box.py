"""What the encoder leaves of a box, ready to be asked for points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.decoding.point_decoders import PlainPoints, Points, points_of
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import Decoder, DenseDecoder
from impulse_nnunet.runtime.findings import Finding

Share = Callable[[Callable[[int], None], int], None]  # calls job(0), ..., job(number - 1)

BATCH = 2048  # points that a thread evaluates at once: their hidden values fit in its cache
DEVICE_BATCH = 131072  # points that a GPU evaluates at once


class EncodedBox:
    """A box of an image after the encoder: one point decoder for each fold.

    Args:
        members: (decoder, pyramid) of each fold, on the same device; the pyramids are not kept where they are folded.
        box: Where the pyramids lie in the image.
        plain: Evaluate in plain PyTorch, as the network itself does.

    Attributes:
        members: Evaluate points, one for each fold.
        on_cpu: Where the points are evaluated.
        plain: Whether they are evaluated as the network itself does.
        finest_size: (d, h, w) of the pyramids' finest level.
        finest_grid: Whether that is the finest of all grids, the templates' included; if not, a lattice on it could
            miss parts of the template.
        findings: What was noted on the way to this box.
    """

    def __init__(self, members: Sequence[tuple[Decoder, Sequence[Tensor]]], box: Box, plain: bool = False) -> None:
        make = PlainPoints if plain else points_of
        self.members: list[Points] = [make(decoder, pyramid) for decoder, pyramid in members]
        self.box, self.plain = box, plain
        self.findings: tuple[Finding, ...] = ()
        self.on_cpu = members[0][1][0].device.type == "cpu"
        d, h, w = members[0][1][0].shape[2:]
        self.finest_size: tuple[int, int, int] = (d, h, w)
        self.finest_grid = all(_no_finer(decoder, self.finest_size) for decoder, _ in members)

    @property
    def batch(self) -> int:
        """Points to evaluate at once."""
        return BATCH if self.on_cpu else DEVICE_BATCH

    @property
    def number_of_classes(self) -> int:
        """Classes, background included."""
        return self.members[0].number_of_classes

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean logits (n, class) and displacement (n, 3) over the folds at box positions (n, 3) float32."""
        logits, displacement = self.members[0].evaluate(points)
        if len(self.members) == 1:
            return logits, displacement
        logits, displacement = logits.copy(), displacement.copy()
        for member in self.members[1:]:
            more = member.evaluate(points)
            logits += more[0]
            displacement += more[1]
        return logits / len(self.members), displacement / len(self.members)

    @contextmanager
    def workers(self) -> Iterator[Share]:
        """Threads that share out a number of jobs: ``share(job, number)`` calls ``job(0)`` ... and waits for all.

        On a GPU, and in plain PyTorch, which has threads of its own, the jobs run one after the other.
        """
        threads = torch.get_num_threads()
        if threads == 1 or not self.on_cpu or any(isinstance(member, PlainPoints) for member in self.members):
            yield lambda job, number: _finish(map(job, range(number)))
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                yield lambda job, number: _finish(pool.map(job, range(number)))
            finally:
                torch.set_num_threads(threads)


def _no_finer(decoder: Decoder, size: tuple[int, int, int]) -> bool:
    """Whether the grid of a decoder's template, if it has one, is no finer than a pyramid's finest level."""
    if isinstance(decoder, DenseDecoder) or decoder.template is None:
        return True
    return all(n <= m for n, m in zip(decoder.template.logits.shape[2:], size, strict=True))


def _finish(results: Iterable[None]) -> None:
    for _ in results:
        pass
