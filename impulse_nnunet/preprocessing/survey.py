"""One pass over a raw data set before anything is written: every case checked, every foreground measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.preprocessing.normalization.default_normalization_schemes import CTNormalization, NoNormalization
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from tqdm import tqdm

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.io.dataset_json import channel_names, channel_titles
from impulse_nnunet.io.grid import reader_to_world
from impulse_nnunet.io.images import RawCase, read_case
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.io.upright import OWN
from impulse_nnunet.laterality.asymmetry import asymmetry
from impulse_nnunet.laterality.labels import SidedLabels, left_of_right_mm, sided_labels
from impulse_nnunet.laterality.pose import pose_cells, pose_of
from impulse_nnunet.plausibility.facts import CaseFacts, Channels, facts_of_images, world_or_spacing
from impulse_nnunet.plausibility.labels import label_facts
from impulse_nnunet.plausibility.sample import step_of
from impulse_nnunet.preprocessing.cropping import planned_margins
from impulse_nnunet.preprocessing.framing import framed, margins_of
from impulse_nnunet.preprocessing.orientations import orientation_of, shared_orientation
from impulse_nnunet.settings import ReadingSettings

LARGEST_MARGIN = 0.45
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class CaseSurvey:
    """What the planner needs of a case, in the reader's axes (d, h, w).

    Args:
        image_extent_mm: (3,) edges of the image, cropped to nonzero values as nnU-Net does.
        region_extent_mm: (3,) edges of the foreground's box.
        spacing_mm: (3,).
        asymmetry: Asymmetry of the image, where labels have sides and the file a geometry.
        pose: Pose of the image, where the file has a geometry.
        facts: Facts of the case for the plausibility checks.
        left_of_right_mm: How far the left labels lie to the left of the right ones by the header.
        orientation: To where the array's axes x, y, z run, e.g. ``LPS``, where the file has a geometry.
        assumed_orientation: The file says nothing of it, and the user let it be assumed.
        margins: Shares of the edges below and above the body, of images that are not oblique.
        excess_mm: (6,) how far labels exceed the nonzero box below and above along (d, h, w).
        room_mm: (6,) from the nonzero box to the image's faces.
    """

    image_extent_mm: np.ndarray
    region_extent_mm: np.ndarray
    spacing_mm: np.ndarray
    asymmetry: np.ndarray | None = None
    pose: np.ndarray | None = None
    facts: CaseFacts | None = None
    left_of_right_mm: float | None = None
    orientation: str | None = None
    assumed_orientation: bool = False
    margins: tuple[float, ...] | None = None
    excess_mm: np.ndarray = field(default_factory=lambda: np.zeros(6))
    room_mm: np.ndarray = field(default_factory=lambda: np.zeros(6))

    def cropped(self, margins_mm: Sequence[float]) -> CaseSurvey:
        """The same case, cropped with margins (6) beyond its nonzero voxels; empty: with none."""
        if not margins_mm:
            return self
        more = np.minimum(self.room_mm, margins_mm).reshape(3, 2).sum(1)
        return replace(self, image_extent_mm=self.image_extent_mm + more)


def survey_dataset(
    dataset: Mapping[str, Mapping[str, Any]],
    reader_class: type[BaseReaderWriter],
    dataset_json: Mapping[str, Any],
    workers: int,
    progress_bar: bool = True,
) -> dict[str, CaseSurvey]:
    """Check and measure all training cases.

    Args:
        dataset: Case identifier -> {"images": files, "label": file}, as nnU-Net lists it.
        reader_class: nnU-Net reader.
        dataset_json: Content of dataset.json.
        workers: Threads.
        progress_bar: Show one.

    Raises:
        CasesFailedError: Naming every bad case.
        InputError: Orientations differ under a reader that does not turn images.
    """
    channels = len(channel_names(dataset_json))
    labels, ignore = allowed_labels(dataset_json), ignore_label(dataset_json)
    sides, kinds = sided_labels(dataset_json["labels"]), channels_of(dataset_json)

    def one(case: str) -> CaseSurvey:
        entry = dataset[case]
        return survey_case(
            reader_class(), case, entry["images"], entry["label"], channels, labels, ignore, sides, kinds
        )

    survey = for_all_cases(one, list(dataset), workers, "Checking cases", progress_bar)
    reading_of(survey, reader_class)  # raises where orientations differ that no one turns
    return survey


def survey_case(
    reader: BaseReaderWriter,
    case: str,
    images: list[str],
    label: str,
    channels: int,
    labels: list[int],
    ignore: int | None = None,
    sides: SidedLabels | None = None,
    kinds: Channels | None = None,
) -> CaseSurvey:
    """Check and measure one case; arguments as those of :func:`read_case`, labels with sides, what the channels are."""
    raw = read_case(reader, case, images, channels, label, labels, ignore)
    kinds = kinds or Channels(ct=(), masks=(), number=channels)
    masks = kinds.masks
    margins = None if OWN in raw.properties else margins_of(raw.images, masks)
    raw = framed(raw, masks, ())
    spacing = np.asarray(raw.properties["spacing"], np.float64)
    segmentation = raw.segmentation
    image = bounding_box(np.any(raw.images != 0, axis=0))
    region = None if segmentation is None else bounding_box((segmentation[0] > 0) & (segmentation[0] != ignore))
    if image is None or region is None:
        raise ValueError(f"{case} passed the checks of read_case without content; expected an image and a foreground")
    survey = CaseSurvey(
        image_extent_mm=(image[1] - image[0]) * spacing,
        region_extent_mm=(region[1] - region[0]) * spacing,
        spacing_mm=spacing,
        orientation=orientation_of(raw),
        assumed_orientation=raw.assumed_orientation,
        margins=margins,
        excess_mm=_between(image, region, spacing),
        room_mm=_between(image, (np.zeros(3, int), np.array(raw.images.shape[1:])), spacing),
        facts=_facts(raw, ignore, kinds),
    )
    to_world = reader_to_world(raw.properties)
    if to_world is None or segmentation is None:
        return survey
    judged = image_to_judge(raw.images, masks)
    survey = replace(survey, pose=pose_of(pose_cells(judged, to_world)))
    if sides is None:
        return survey
    gap = left_of_right_mm(segmentation[0], sides, to_world)
    return replace(survey, asymmetry=asymmetry(judged, to_world), left_of_right_mm=gap)


def _facts(raw: RawCase, ignore: int | None, kinds: Channels) -> CaseFacts:
    """Facts of a training case, its labels included."""
    to_world = world_or_spacing(reader_to_world(raw.properties), raw.properties["spacing"])
    facts, sample = facts_of_images(raw.images, to_world, kinds)
    if raw.segmentation is None:
        return facts
    found = raw.segmentation[0]
    labels = np.where(found == ignore, 0, found) if ignore is not None else found
    labels = labels.astype(np.uint8 if labels.max() < 256 else np.uint16)
    faces = OWN not in raw.properties  # a frame's faces are not the image's
    step = step_of(labels.shape)
    return replace(facts, labels=label_facts(labels, count_values(labels), to_world, sample, faces=faces, step=step))


def _between(
    inner: tuple[np.ndarray, np.ndarray], outer: tuple[np.ndarray, np.ndarray], spacing_mm: np.ndarray
) -> np.ndarray:
    """(6,) mm that a box exceeds another one by, below and above along each axis; 0 where it does not."""
    below, above = inner[0] - outer[0], outer[1] - inner[1]
    return np.asarray(np.maximum(np.stack([below, above], axis=1), 0) * spacing_mm[:, None]).ravel()


def reading_of(survey: Mapping[str, CaseSurvey], reader_class: type[BaseReaderWriter]) -> ReadingSettings:
    """What the plans say of how the cases were read.

    Raises:
        InputError: The reader does not turn images, and their orientations differ.
    """
    orientation = shared_orientation({case: found.orientation for case, found in survey.items()}, reader_class)
    known = [found.margins for found in survey.values() if found.margins is not None]
    margins = np.minimum(np.median(known, axis=0), LARGEST_MARGIN).round(4).tolist() if known else ()
    assumed = any(found.assumed_orientation for found in survey.values())
    crop = planned_margins([found.excess_mm for found in survey.values()])
    return ReadingSettings(
        orientation=orientation, assume_orientation=assumed, margins=tuple(margins), crop_margins_mm=crop
    )


def poses_of(survey: Mapping[str, CaseSurvey]) -> dict[str, np.ndarray]:
    """Poses of the cases that have one."""
    return {case: found.pose for case, found in survey.items() if found.pose is not None}


def facts_of(survey: Mapping[str, CaseSurvey]) -> dict[str, CaseFacts]:
    """Facts of the cases that have them."""
    return {case: found.facts for case, found in survey.items() if found.facts is not None}


def asymmetries_of(survey: Mapping[str, CaseSurvey]) -> dict[str, np.ndarray]:
    """Asymmetries of the cases that have one."""
    return {case: found.asymmetry for case, found in survey.items() if found.asymmetry is not None}


def image_to_judge(images: np.ndarray, masks: Sequence[int]) -> np.ndarray:
    """(d, h, w): the first channel (channel, d, h, w) that is not a mask, or the sum of the masks if all are."""
    first = next((channel for channel in range(len(images)) if channel not in masks), None)
    return images.sum(0) if first is None else images[first]


def mask_channels(dataset_json: Mapping[str, Any]) -> tuple[int, ...]:
    """Numbers of the channels that dataset.json declares as masks."""
    names = channel_names(dataset_json)
    return tuple(i for i, name in enumerate(names) if get_normalization_scheme(name) is NoNormalization)


def channels_of(dataset_json: Mapping[str, Any]) -> Channels:
    """What the channels of a data set are, by nnU-Net's normalisation."""
    names = channel_names(dataset_json)
    ct = tuple(i for i, name in enumerate(names) if get_normalization_scheme(name) is CTNormalization)
    return Channels(ct=ct, masks=mask_channels(dataset_json), number=len(names))


def allowed_labels(dataset_json: Mapping[str, Any]) -> list[int]:
    """Labels that a segmentation may hold, the ignore label included."""
    manager = LabelManager(dataset_json["labels"], dataset_json.get("regions_class_order"))
    ignore = ignore_label(dataset_json)
    return [int(label) for label in manager.all_labels] + ([] if ignore is None else [ignore])


def foreground_labels(dataset_json: Mapping[str, Any]) -> list[int]:
    """Labels without background and the ignore label."""
    return [label for label in allowed_labels(dataset_json) if label not in (0, ignore_label(dataset_json))]


def label_names(dataset_json: Mapping[str, Any]) -> dict[int, str]:
    """Label -> its name; its number where a region has no label of its own."""
    names = {number: name for name, number in dataset_json["labels"].items() if isinstance(number, int)}
    return {label: names.get(label, f"label {label}") for label in allowed_labels(dataset_json)}


def channel_words(dataset_json: Mapping[str, Any]) -> dict[int, str]:
    """Channel -> its number and what it shows, for messages."""
    titles = channel_titles(dataset_json) or channel_names(dataset_json)
    return {channel: f"{channel:04d} ({title})" for channel, title in enumerate(titles)}


def ignore_label(dataset_json: Mapping[str, Any]) -> int | None:
    """The label of unannotated voxels, if the data set has one."""
    return dataset_json["labels"].get("ignore")


def for_all_cases(
    function: Callable[[str], R], cases: list[str], workers: int, description: str, progress_bar: bool = True
) -> dict[str, R]:
    """Run a function on all cases in threads; bad cases do not stop the others and are named together at the end.

    Raises:
        CasesFailedError: If ``function`` raised :class:`InputError` for any case.
    """
    failures: dict[str, str] = {}
    results: dict[str, R] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = {pool.submit(function, case): case for case in cases}
        try:
            for future in tqdm(as_completed(futures), description, len(cases), disable=not progress_bar):
                case = futures[future]
                try:
                    results[case] = future.result()
                except InputError as error:
                    failures[case] = str(error)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise CasesFailedError(dict(sorted(failures.items())), len(cases))
    return {case: results[case] for case in cases}
