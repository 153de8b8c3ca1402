"""``.seg.nrrd``: a label map with names, colours and coded terms, as 3D Slicer's Segment Editor reads it.

Keys: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html. Labels of one map do not
overlap and share a layer; trees overlap them and have layers for themselves. Lungs and lobes get SNOMED CT's codes, as
DICOM's context groups have them; everything else is an anatomical structure without a code, known by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.outputs.codes import LOBES, SIDES, STRUCTURES, Code
from impulse_nnunet.outputs.colours import RGB, LabelStyle
from impulse_nnunet.outputs.names import SEGMENT, WORD, lobe_by_name

ENDING = ".seg.nrrd"
FAST = 1  # level of compression
CONTEXT, ANATOMY_CONTEXT = "Segmentation category and type - DICOM master list", "Anatomic codes - DICOM master list"
CATEGORY = "SCT^123037004^Anatomical Structure"
LUNGS = (["lung", "right"], ["left", "lung"])
NO_CODE = "^^"
REPRESENTATION = "Binary labelmap"


@dataclass(frozen=True)
class Layer:
    """A mask that may overlap the labels and other masks.

    Args:
        name: What it is.
        mask: (d, h, w) bool.
        colour: Red, green and blue from 0 to 1.
    """

    name: str
    mask: np.ndarray
    colour: RGB


def write_seg_nrrd(
    labels: np.ndarray,
    grid: FileGrid,
    style: LabelStyle,
    segments: Sequence[int],
    path: Path,
    layers: Sequence[Layer] = (),
) -> None:
    """Write a label map for 3D Slicer.

    Args:
        labels: (d, h, w).
        grid: Its place in the world.
        style: Names and colours.
        segments: Labels that become segments, in this order; voxels of others are empty.
        path: Ends in ``.seg.nrrd``.
        layers: Further segments, each on a layer for itself.
    """
    table = np.zeros(int(labels.max(initial=0)) + 1, labels.dtype)
    inside = [label for label in segments if label < len(table)]
    table[inside] = inside
    shown = table[labels]
    every = np.stack([shown, *(layer.mask.astype(shown.dtype) for layer in layers)], axis=-1) if layers else shown
    image = sitk.GetImageFromArray(every, isVector=bool(layers))
    grid.put_on(image)
    for key, value in (_of_all() | _keys(_of_labels(shown, style, segments), layers)).items():
        image.SetMetaData(key, value)
    with whole_file(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=FAST)
        if layers:
            stored = temporary.read_bytes()  # ITK calls layers a vector, Slicer a list
            temporary.write_bytes(stored.replace(b"\nkinds: vector ", b"\nkinds: list ", 1))


def terms_of(name: str) -> str:
    """Slicer's terminology entry of a label's name: a coded lobe, or an anatomical structure without further code."""
    kind, modifier = NO_CODE, NO_CODE
    lobe = lobe_by_name(name) if not SEGMENT.fullmatch(name.strip().lower()) else None
    if lobe is not None:
        side, level, _ = lobe.split()
        kind, modifier = _term(LOBES[level]), NO_CODE if level == "middle" else _term(SIDES[side])
    elif sorted(WORD.findall(name.lower())) in LUNGS:
        kind, modifier = _term(STRUCTURES["lung"]), _term(SIDES["right" if "right" in name.lower() else "left"])
    return f"{CONTEXT}~{CATEGORY}~{kind}~{modifier}~{ANATOMY_CONTEXT}~{NO_CODE}~{NO_CODE}|"


def _term(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"


def _of_all() -> dict[str, str]:
    return {
        "Segmentation_ContainedRepresentationNames": f"{REPRESENTATION}|",
        "Segmentation_ConversionParameters": "",
        "Segmentation_MasterRepresentation": REPRESENTATION,  # Slicer 5.0 and older
        "Segmentation_SourceRepresentation": REPRESENTATION,
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }


def _of_labels(shown: np.ndarray, style: LabelStyle, segments: Sequence[int]) -> list[dict[str, str]]:
    boxes = ndimage.find_objects(shown, max_label=max(segments, default=0))
    return [_of_segment(style.names[label], style.colour(label), label, 0, boxes[label - 1]) for label in segments]


def _keys(labels: list[dict[str, str]], layers: Sequence[Layer]) -> dict[str, str]:
    """Keys of all segments, numbered."""
    entries = list(labels)
    for number, layer in enumerate(layers, 1):
        (box,) = ndimage.find_objects(layer.mask.view(np.uint8), max_label=1)
        entries.append(_of_segment(layer.name, layer.colour, 1, number, box))
    return {f"Segment{index}_{key}": value for index, entry in enumerate(entries) for key, value in entry.items()}


def _of_segment(name: str, colour: RGB, value: int, layer: int, box: tuple[slice, ...] | None) -> dict[str, str]:
    extent = [0, -1] * 3 if box is None else [end for part in box[::-1] for end in (part.start, part.stop - 1)]
    return {
        "ID": f"Segment_{value}" if layer == 0 else f"Layer_{layer}",
        "Name": name,
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{share:.6f}" for share in colour),
        "ColorAutoGenerated": "0",
        "Extent": " ".join(map(str, extent)),
        "LabelValue": str(value),
        "Layer": str(layer),
        "Tags": f"Segmentation.Status:inprogress|TerminologyEntry:{terms_of(name)}",
    }
