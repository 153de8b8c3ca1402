"""From an encoded case to arrays in the reader's frame and files on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels, decode_logits
from impulse_nnunet.inference.world import image_to_world, output_grid
from impulse_nnunet.io.files import Stamps, whole_file
from impulse_nnunet.io.nnunet import write_segmentation
from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.plausibility.sample import SAMPLE


@dataclass(frozen=True, kw_only=True)
class PreparedCase:
    """A case that is ready to be predicted.

    Args:
        case: Identifier.
        files: Files of its channels.
        image: (channel, d, h, w) float32, cropped, transposed and normalised.
        properties: nnU-Net's.
        stamps: Stamps of the files, as they were when they were read.
    """

    case: str
    files: list[str]
    image: torch.Tensor
    properties: dict[str, Any]
    stamps: Stamps


@dataclass(frozen=True)
class CasePrediction:
    """A case's result in the reader's frame, before cropping and transposing.

    Args:
        labels: (d, h, w) uint8 or uint16.
        probabilities: (class, d, h, w) float32, if asked for.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None


def decode_case(
    encoded: EncodedBox,
    block_points: int,
    properties: Mapping[str, Any],
    plans_manager: PlansManager,
    with_probabilities: bool = False,
) -> CasePrediction:
    """Decode a case on its own grid and put it back where nnU-Net's preprocessing took it from.

    Args:
        encoded: Encoding of the cropped, transposed image.
        block_points: Points to decode at once.
        properties: nnU-Net's, of the case.
        plans_manager: Knows the transpose.
        with_probabilities: Also return the classes x volume array.
    """
    own = own_grid(properties)
    if own is not None:
        place = output_grid(own[0], image_to_world(properties, plans_manager.transpose_forward))
        return _decode_oblique(encoded, place, block_points, with_probabilities)
    grid = OutputGrid.native(properties["shape_after_cropping_and_before_resampling"])
    if not with_probabilities:
        return CasePrediction(_to_reader_frame(decode_labels(encoded, grid, block_points), properties, plans_manager))
    logits = decode_logits(encoded, grid, block_points)
    labels = logits.argmax(0).astype(np.uint8 if len(logits) <= 255 else np.uint16)
    probabilities = torch.from_numpy(logits).softmax(0).numpy()
    return CasePrediction(
        _to_reader_frame(labels, properties, plans_manager),
        _probabilities_to_reader_frame(probabilities, properties, plans_manager),
    )


def _decode_oblique(
    encoded: EncodedBox, grid: OutputGrid, block_points: int, with_probabilities: bool
) -> CasePrediction:
    """On the image's own grid, each voxel at its exact place in the upright image; background outside the crop."""
    if not with_probabilities:
        return CasePrediction(decode_labels(encoded, grid, block_points))
    logits = decode_logits(encoded, grid, block_points)
    labels = logits.argmax(0).astype(np.uint8 if len(logits) <= 255 else np.uint16)
    return CasePrediction(labels, torch.from_numpy(logits).softmax(0).numpy())


def write_case(
    prediction: CasePrediction,
    properties: Mapping[str, Any],
    plans_manager: PlansManager,
    file_ending: str,
    truncated: str,
) -> None:
    """Write ``truncated + file_ending`` and, with probabilities, nnU-Net's ``.npz`` and ``.pkl``; each file whole."""
    own = own_grid(properties)
    properties = properties if own is None else own[1]
    if prediction.probabilities is not None:
        with whole_file(f"{truncated}.npz") as path:
            np.savez_compressed(path, probabilities=prediction.probabilities)
        with whole_file(f"{truncated}.pkl") as path:
            save_pickle({key: value for key, value in properties.items() if key != SAMPLE}, str(path))
    with whole_file(truncated + file_ending) as path:
        write_segmentation(plans_manager.image_reader_writer_class(), prediction.labels, path, properties)


def _to_reader_frame(labels: np.ndarray, properties: Mapping[str, Any], plans_manager: PlansManager) -> np.ndarray:
    whole = np.zeros(properties["shape_before_cropping"], labels.dtype)
    insert_crop_into_image(whole, labels, properties["bbox_used_for_cropping"])
    return whole.transpose(plans_manager.transpose_backward)


def _probabilities_to_reader_frame(
    probabilities: np.ndarray, properties: Mapping[str, Any], plans_manager: PlansManager
) -> np.ndarray:
    whole = np.zeros((len(probabilities), *properties["shape_before_cropping"]), np.float32)
    whole[0] = 1
    insert_crop_into_image(whole, probabilities, properties["bbox_used_for_cropping"])
    return whole.transpose([0, *(axis + 1 for axis in plans_manager.transpose_backward)])
