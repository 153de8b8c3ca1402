"""DICOM segmentations (PS3.3 A.51) by highdicom, on the grid of the series that the labels belong to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.geometry import in_order
from impulse_nnunet.io.dicom.headers import IMAGES_OF
from impulse_nnunet.io.dicom.series import Series, series_in
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import LabelMap
from impulse_nnunet.io.same_grid import check_same_grid, is_same_grid
from impulse_nnunet.io.turned import turned_like
from impulse_nnunet.outputs.codes import ANATOMY, LONGEST_MEANING, PRIVATE, Code, coded
from impulse_nnunet.outputs.colours import LabelStyle

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

LABELMAP, BINARY = "LABELMAP", "BINARY"
PRODUCT = "impulse_nnunet"
ORIGIN = "label map of unknown origin"  # the algorithm, which a label map does not tell
DESCRIPTION = "Research use, not a medical device"
SERIES_NUMBER_STEP = 1000
MAY_BE_EMPTY = (  # of type 2: elements that may be empty, but not missing, and that copies without names may lack
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)


def write_dicom_segmentation(
    label_map: LabelMap, style: LabelStyle, labels: Sequence[int], source: Series, path: Path, kind: str = LABELMAP
) -> None:
    """Write labels as a DICOM segmentation of the series that they were made from.

    Patient and study are copied from the series, as DICOM asks; nothing else in this package writes them.

    Args:
        label_map: On the series' grid; its axes may run otherwise.
        style: Names and colours.
        labels: Those that become segments, ascending; others are background.
        source: The series.
        path: ``CASE.dcm``.
        kind: ``LABELMAP``: a segment's number is its label. ``BINARY``: numbers from 1 on, and the label stands in the
            segment's description; for readers that do not know the former.

    Raises:
        InputError: The grids differ, the series is not a regular volume, or highdicom is not installed.
    """
    headers, grid = in_order(source)
    turned = turned_like(label_map, grid)
    check_same_grid(turned.grid, grid, str(label_map.path), f"the DICOM series {source.name}")
    numbers = list(labels) if kind == LABELMAP else list(range(1, len(labels) + 1))
    table = np.zeros(int(turned.labels.max(initial=0)) + 1, np.min_scalar_type(numbers[-1]))
    table[list(labels)] = numbers
    segments = [_segment(number, label, style) for number, label in zip(numbers, labels, strict=True)]
    if not headers[0].text("frame_of_reference"):
        raise _incomplete(source, "FrameOfReferenceUID")
    try:
        with warnings.catch_warnings(), whole_file(path) as temporary:
            warnings.simplefilter("ignore")  # pydicom's, which may quote a patient's data, as errors may
            slices = [_read(header.file, float(grid.spacing_mm[2])) for header in headers]
            _segmentation(slices, table[turned.labels], segments, kind).save_as(temporary)
    except (AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _incomplete(source, getattr(error, "name", None) or "valid elements") from None


def _incomplete(source: Series, what: str) -> InputError:
    expected = "what a DICOM segmentation takes from them"
    return InputError(source.name, f"headers without {what}", expected, "correct the headers")


def find_source(case: str, label_map: LabelMap, folder: Path) -> Series:
    """The series in a folder that a label map belongs to: the one with the case's name, else the only one on its grid.

    Raises:
        InputError: None, or several.
    """
    found = series_of_images(folder)
    named = [series for series in found if series.name == case]
    if len(named) == 1:
        return named[0]
    grids = {series.name: (series, grid) for series in found if (grid := _grid_of(series)) is not None}
    fitting = [series for series, grid in grids.values() if is_same_grid(turned_like(label_map, grid).grid, grid)]
    if len(fitting) == 1:
        return fitting[0]
    subject, remedy = str(label_map.path), "give the folder of the series that it was made from by `dicom`"
    if len(fitting) > 1:
        names = ", ".join(series.name for series in fitting)
        raise InputError(subject, f"{len(fitting)} DICOM series on its grid ({names:.200})", "one", remedy)
    if len(found) == 1:
        return found[0]  # whose geometry, or its difference from the label map's, is then named
    raise InputError(subject, f"none of {len(found)} DICOM series on its grid", "one", remedy)


@cache
def series_of_images(folder: Path) -> tuple[Series, ...]:
    """The series of images in a folder; read once for all cases of a process."""
    return tuple(series for series in series_in(folder) if series.modality in IMAGES_OF)


def _grid_of(series: Series) -> FileGrid | None:
    try:
        return in_order(series)[1]
    except InputError:
        return None


def _libraries() -> tuple[Any, Any]:
    try:
        import highdicom
        import pydicom
    except ImportError as error:
        remedy = "run: pip install 'impulse_nnunet[dicom]'"
        raise InputError("dcmseg", "no package highdicom", "it, for DICOM segmentations", remedy) from error
    return highdicom, pydicom


def _read(path: Path, thickness_mm: float) -> Dataset:
    """A slice's header with the elements that a segmentation copies, empty where the slice lacks them."""
    _, pydicom = _libraries()
    header = pydicom.dcmread(path, stop_before_pixels=True)
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    if header.get("SliceThickness") is None:
        header.SliceThickness = thickness_mm
    return header


def _segmentation(
    sources: Sequence[Dataset], voxels: np.ndarray, segments: Sequence[SegmentDescription], kind: str
) -> Dataset:
    highdicom, _ = _libraries()
    from highdicom import coding_schemes

    schemes = [
        coding_schemes.CodingSchemeIdentificationItem(
            designator=PRIVATE, name="Names of label maps without a checked code", responsible_organization=PRODUCT
        )
    ]
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=voxels,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=int(sources[0].get("SeriesNumber") or 0) + SERIES_NUMBER_STEP,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTS",
        content_description=DESCRIPTION,
        series_description="Segments",
        coding_schemes=schemes,
    )


def _segment(number: int, label: int, style: LabelStyle) -> SegmentDescription:
    highdicom, _ = _libraries()
    name, meaning = style.names[label], coded(style.names[label])
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=ORIGIN, version=__version__, family=_concept(Code("123110", "DCM", "Artificial Intelligence"))
    )
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:LONGEST_MEANING],
        segmented_property_category=_concept(ANATOMY),
        segmented_property_type=_concept(meaning.kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        display_color=highdicom.color.CIELabColor.from_rgb(*(round(255 * part) for part in style.colour(label))),
    )
    segment.SegmentDescription = f"label {label}"
    if meaning.side is not None:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(meaning.side)]
    return segment


def _concept(code: Code) -> Any:
    highdicom, _ = _libraries()
    return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)
