"""A case's files as the network sees them, in our prediction and in nnU-Net's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.images import RawCase, read_case
from impulse_nnunet.nnunet.judging import judge_image
from impulse_nnunet.nnunet.stock_records import record_failure
from impulse_nnunet.preprocessing.framing import framed
from impulse_nnunet.preprocessing.orientations import check_orientation
from impulse_nnunet.preprocessing.survey import mask_channels
from impulse_nnunet.settings import settings_from_configuration

FINDINGS = "impulse_findings"  # beside nnU-Net's entries of an item of the iterator


def read_to_predict(predictor: nnUNetPredictor, case: str, files: Sequence[str]) -> RawCase:
    """Read a case, checked; oblique images upright and framed as the training images.

    Raises:
        InputError: Naming the case or file.
    """
    content = predictor.dataset_json
    reader = predictor.plans_manager.image_reader_writer_class()
    raw = read_case(reader, case, files, len(channel_names(content)))
    reading = settings_from_configuration(predictor.configuration_manager.configuration).reading
    check_orientation(case, raw, reading)
    return framed(raw, mask_channels(content), reading.margins)


def preprocessed(predictor: nnUNetPredictor, raw: RawCase) -> tuple[Tensor, dict[str, Any]]:
    """The image (channel, d, h, w) as nnU-Net's preprocessing leaves it, and its properties."""
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(
        raw.images,
        None,
        raw.properties,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
    )
    return torch.from_numpy(data), properties


def iterate_files(
    predictor: nnUNetPredictor,
    input_list_of_lists: Sequence[list[str]],
    seg_from_prev_stage_files: Sequence[str | None] | None,
    output_filenames_truncated: Sequence[str | None] | None,
    num_processes: int,
) -> Iterator[dict[str, Any]]:
    """As nnU-Net's iterator of preprocessed cases, one ahead in a thread; arguments as nnU-Net's.

    Args:
        predictor: With our network.
        input_list_of_lists: Channel files of each case.
        seg_from_prev_stage_files: Unused; there are no cascades.
        output_filenames_truncated: Where to write, without the ending; None: nowhere.
        num_processes: Unused.
    """
    targets = output_filenames_truncated or [None] * len(input_list_of_lists)

    def prepare(number: int) -> dict[str, Any]:
        files, target = input_list_of_lists[number], targets[number]
        case = os.path.basename(files[0] if target is None else target)
        try:
            raw = read_to_predict(predictor, case, files)
            found = judge_image(predictor, case, raw)
            data, properties = preprocessed(predictor, raw)
        except InputError as error:
            record_failure(predictor, target, str(error))
            raise
        return {"data": data, "data_properties": properties, "ofile": target, FINDINGS: found}

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(prepare, 0)] if targets else []
        for number in range(len(targets)):
            current = ahead.pop().result()
            if number + 1 < len(targets):
                ahead.append(pool.submit(prepare, number + 1))
            yield current
