"""Training batches as a pure function of (seed, step): resumed and distributed runs see what one long run would."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.geometry.working_volume import stored_working_volume
from impulse_nnunet.io.files import check_unchanged, stamps_of
from impulse_nnunet.settings import ImPulSeSettings
from impulse_nnunet.training.boxes import augment_box, random_region_box
from impulse_nnunet.training.case_facts import FACTS_KEY, case_facts
from impulse_nnunet.training.lattice import lattice_labels
from impulse_nnunet.training.memory import SMALLEST_CACHE_BYTES
from impulse_nnunet.training.points import draw_points, labels_at

SEARCH_REGION_SHARE = 0.5  # of the localizer's points; a small organ would be met too seldom
CASE_ENDINGS = (".b2nd", "_seg.b2nd", ".npz", ".pkl")


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """A preprocessed case in memory.

    Args:
        volume: Working volume (channel, d, h, w) float16.
        segmentation: (d, h, w) native labels.
        extent_mm: (3,) edges of the image.
        foreground_faces: (2, 3) faces of the foreground's box, image positions.
        mask_voxels: (n, 3) voxel indices inside mask channels, or None.
        annotated_voxels: (n, 3) voxel indices with a label, or None if all have one.
    """

    volume: Tensor
    segmentation: np.ndarray
    extent_mm: np.ndarray
    foreground_faces: np.ndarray
    mask_voxels: np.ndarray | None
    annotated_voxels: np.ndarray | None

    @property
    def nbytes(self) -> int:
        """Memory of the volumes."""
        return self.volume.nbytes + self.segmentation.nbytes


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One training sample: an image to interpolate on a box's grid, and labelled points of the box.

    Args:
        volume: Working volume (channel, d, h, w) float16.
        box: Where the grid lies.
        points: (point, 3) float32 box positions; None: the voxel centres of the box's grid, in order.
        labels: (point,) int64.
        seed: Seed of the sample's random intensities.
        search: For the localizer: the whole image of the case, foreground labelled 1.
    """

    volume: Tensor
    box: Box
    points: Tensor | None
    labels: Tensor
    seed: int
    search: Sample | None = None


class PreprocessedCases(Protocol):
    """What is needed of a preprocessed data set; nnU-Net's data set classes have it."""

    @property
    def identifiers(self) -> Sequence[str]:
        """Identifiers of the cases."""

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Image (channel, d, h, w), segmentation (1, d, h, w), a cascade's or None, and nnU-Net's properties."""


class CaseStore:
    """Cases of a preprocessed folder, ours or stock nnU-Net's (native images), kept in memory up to a limit.

    Args:
        dataset: nnU-Net dataset of the folder.
        settings: Settings of the plans.
        ignore_label: Ignore label of the data set, or None.
        transpose_forward: Transpose forward of the plans; brings the stored spacing to the volumes' axes.
        cache_bytes: Memory for decompressed volumes.
        pin: Keep the images in page-locked memory, from which a GPU reads without waiting.
    """

    def __init__(
        self,
        dataset: PreprocessedCases,
        settings: ImPulSeSettings,
        ignore_label: int | None,
        transpose_forward: Sequence[int] = (0, 1, 2),
        cache_bytes: int = SMALLEST_CACHE_BYTES,
        pin: bool = False,
    ) -> None:
        self.dataset, self.settings, self.ignore_label = dataset, settings, ignore_label
        self.transpose_forward = list(transpose_forward)
        self.identifiers: list[str] = list(dataset.identifiers)
        self.cache_bytes, self.pin = cache_bytes, pin
        self._stamps = {identifier: stamps_of(_files_of(dataset, identifier)) for identifier in self.identifiers}
        self._cache: OrderedDict[str, TrainingCase] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    def __getitem__(self, identifier: str) -> TrainingCase:
        with self._lock:
            if identifier in self._cache:
                self._cache.move_to_end(identifier)
                return self._cache[identifier]
        case = self._load(identifier)
        with self._lock:
            if identifier not in self._cache:
                self._cache[identifier] = case
                self._cached_bytes += case.nbytes
            while self._cached_bytes > self.cache_bytes and len(self._cache) > 1:
                _, dropped = self._cache.popitem(last=False)
                self._cached_bytes -= dropped.nbytes
        return case

    def _load(self, identifier: str) -> TrainingCase:
        check_unchanged(self._stamps[identifier], identifier)  # another call may have preprocessed again
        data, segmentation, _, properties = self.dataset.load_case(identifier)
        image, labels = np.asarray(data[:]), np.asarray(segmentation[:])
        facts = properties.get(FACTS_KEY)
        if facts is None:
            facts = case_facts(image, labels, self.settings.sampling.mask_channels, self.ignore_label)
        if self.settings.sampling.mask_share > 0 and facts["mask_voxels"] is None:
            raise InputError(
                identifier,
                "a preprocessed case without mask voxels",
                "those that impulse.sampling names",
                "run impulse_nnunet plan_and_preprocess again, or set impulse.sampling.mask_share to 0",
            )
        grid = self.settings.grid.working_grid
        volume = stored_working_volume(torch.from_numpy(image), labels.shape[1:], grid, identifier)
        volume = volume.pin_memory() if self.pin else volume
        spacing = np.asarray(properties["spacing"])[self.transpose_forward]
        return TrainingCase(
            volume=volume,
            segmentation=labels[0],
            extent_mm=spacing * labels.shape[1:],
            foreground_faces=np.asarray(facts["foreground_faces"]),
            mask_voxels=facts["mask_voxels"],
            annotated_voxels=facts["annotated_voxels"],
        )


def _files_of(dataset: PreprocessedCases, identifier: str) -> list[Path]:
    """The files that a preprocessed case may have; none for a data set in memory."""
    folder = getattr(dataset, "source_folder", None)
    return [] if folder is None else [Path(folder, identifier + ending) for ending in CASE_ENDINGS]


class BatchMaker:
    """Draws the samples of any step.

    Args:
        cases: Where the cases come from.
        settings: Settings of the plans.
        stream: Distinguishes training (0) from validation (1); validation boxes are not augmented.
        first: Place of this process's first sample in the global batch.
        number: Samples that this process draws.
        whole_grid: Label every voxel centre of the input grid, for dense networks, in place of random points.
    """

    def __init__(
        self,
        cases: CaseStore,
        settings: ImPulSeSettings,
        stream: int,
        first: int,
        number: int,
        whole_grid: bool = False,
    ) -> None:
        self.cases, self.settings, self.stream = cases, settings, stream
        self.whole_grid = whole_grid
        self.places = range(first, first + number)

    def __call__(self, step: int) -> list[Sample]:
        """The samples of a step."""
        return [self.sample(step, place) for place in self.places]

    def sample(self, step: int, place: int) -> Sample:
        """The sample at one place of the global batch of a step."""
        rng = np.random.default_rng([self.settings.training.seed, self.stream, step, place])
        identifiers = self.cases.identifiers
        case = self.cases[identifiers[rng.integers(len(identifiers))]]
        box = random_region_box(rng, case.foreground_faces, self.settings.region)
        if self.stream == 0:
            box = augment_box(rng, box, case.extent_mm, self.settings.augmentation)
        points = None if self.whole_grid else self._random_points(rng, box, case)
        if points is None:
            labels = lattice_labels(case.segmentation, box, self.settings.grid.input_grid, self.cases.ignore_label)
        else:
            labels = labels_at(case.segmentation, box, points, self.cases.ignore_label)
        seed = int(rng.integers(2**31))
        search = None if self.settings.search_grid is None else self._search_sample(step, place, case)
        placed = None if points is None else torch.from_numpy(points)
        return Sample(
            volume=case.volume, box=box, points=placed, labels=torch.from_numpy(labels), seed=seed, search=search
        )

    def _search_sample(self, step: int, place: int, case: TrainingCase) -> Sample:
        """The whole image, its random numbers apart from all others; half of the points lie in the region."""
        entropy = [self.settings.training.seed, self.stream, step, place]
        rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(0,)))
        box = Box.whole()
        if self.stream == 0:
            box = augment_box(rng, box, case.extent_mm, self.settings.augmentation)
        region = region_box(case.foreground_faces, self.settings.region.margin)
        points = draw_points(
            rng,
            box,
            case.segmentation.shape,
            self.settings.sampling.points,
            annotated_voxels=case.annotated_voxels,
            region_share=SEARCH_REGION_SHARE,
            region=region,
        )
        labels = labels_at(case.segmentation, box, points, self.cases.ignore_label)
        foreground = torch.from_numpy(np.minimum(labels, 1))
        return Sample(
            volume=case.volume,
            box=box,
            points=torch.from_numpy(points),
            labels=foreground,
            seed=int(rng.integers(2**31)),
        )

    def _random_points(self, rng: np.random.Generator, box: Box, case: TrainingCase) -> np.ndarray:
        sampling = self.settings.sampling
        return draw_points(
            rng,
            box,
            case.segmentation.shape,
            sampling.points,
            sampling.mask_share,
            case.mask_voxels,
            case.annotated_voxels,
            sampling.region_share,
            region_box(case.foreground_faces, self.settings.region.margin),
        )


class OrderedPrefetcher(Iterator[Any]):
    """Calls a function of the step number in threads, a few steps ahead, and yields the results in order.

    Args:
        make: Function of the step.
        workers: Threads; 0 calls in the caller's thread.
        ahead: Steps to prepare.
    """

    def __init__(self, make: Callable[[int], Any], workers: int, ahead: int = 4) -> None:
        self.make, self.step, self.ahead = make, 0, max(1, ahead)
        self.pool = ThreadPoolExecutor(workers) if workers > 0 else None
        self.queue: deque[Future[Any]] = deque()
        self.next_step = 0

    def seek(self, step: int) -> None:
        """Continue with ``step``."""
        if step == self.step:
            return
        for future in self.queue:
            future.cancel()
        self.queue.clear()
        self.step = self.next_step = step

    def __next__(self) -> Any:
        if self.pool is None:
            result = self.make(self.step)
        else:
            while len(self.queue) < self.ahead:
                self.queue.append(self.pool.submit(self.make, self.next_step))
                self.next_step += 1
            result = self.queue.popleft().result()
        self.step += 1
        return result

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
