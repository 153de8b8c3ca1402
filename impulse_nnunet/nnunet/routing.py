"""Routing nnU-Net's own predictor to ours, for our network only (docs/decisions/0002-routing-stock-prediction.md).

``nnUNetPredictor`` slides windows and builds logits for the whole volume. Four of its methods are wrapped: where the
predictor carries an :class:`~impulse_nnunet.network.ImPulSeNet` they decode points, for every other network the
original runs untouched. The wrapping happens when ``impulse_nnunet.trainers`` is imported, which stock prediction does
when it looks up the trainer's name.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor
from tqdm import tqdm

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_logits
from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.ensemble import Ensemble, ensemble_of, settings_of
from impulse_nnunet.inference.volume import predict_volume
from impulse_nnunet.inference.writers import Writers
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.network.wrapping import bare_network
from impulse_nnunet.nnunet.case_input import FINDINGS, iterate_files
from impulse_nnunet.nnunet.cases import CasePrediction, decode_case, write_case
from impulse_nnunet.nnunet.stock_records import StockCase, StockRecords
from impulse_nnunet.runtime.threads import limit_cpu_threads
from impulse_nnunet.settings import ImPulSeSettings

ROUTED_MARK = "_routed_by_impulse_nnunet"


def route_stock_predictor() -> None:
    """Wrap the methods, once."""
    for name, ours in (
        ("_internal_get_data_iterator_from_lists_of_filenames", iterate_files),
        ("predict_from_data_iterator", predict_from_data_iterator),
        ("predict_logits_from_preprocessed_data", predict_logits_from_preprocessed_data),
        ("predict_sliding_window_return_logits", predict_sliding_window_return_logits),
    ):
        stock = getattr(nnUNetPredictor, name)
        if not hasattr(stock, ROUTED_MARK):
            setattr(nnUNetPredictor, name, _routed(stock, ours))


def predict_from_data_iterator(
    predictor: nnUNetPredictor,
    data_iterator: Iterable[dict[str, Any]],
    save_probabilities: bool = False,
    num_processes_segmentation_export: int = 2,
) -> list[Any]:
    """As nnU-Net's: write each case, or return it where ``ofile`` is None; no logits volume is made."""
    ensemble, settings = ensemble_of(predictor), settings_of(predictor)
    limit_cpu_threads(predictor.device)
    results: list[Any] = []
    with StockRecords(predictor) as records, Writers(num_processes_segmentation_export) as writers:
        for item in tqdm(data_iterator, "Predicting cases", unit="case", disable=not predictor.allow_tqdm):
            with records.case(item["ofile"], item.get(FINDINGS, ())) as recorded:
                decode = functools.partial(
                    _decode, predictor=predictor, item=item, recorded=recorded, with_probabilities=save_probabilities
                )
                image = _loaded(item["data"])
                prediction = predict_volume(ensemble, image, settings, decode, recorded.name)
                recorded.judge(prediction.labels, image, item["data_properties"])
            if item["ofile"] is None:
                results.append(_as_stock_returns(prediction))
            else:
                results.append(writers.submit(functools.partial(_write, predictor, prediction, item, recorded)))
        return [result.result() if isinstance(result, Future) else result for result in results]


def _decode(
    encoded: EncodedBox,
    block_points: int,
    predictor: nnUNetPredictor,
    item: Mapping[str, Any],
    recorded: StockCase,
    with_probabilities: bool,
) -> CasePrediction:
    recorded.note(encoded.findings)
    properties = item["data_properties"]
    return decode_case(encoded, block_points, properties, predictor.plans_manager, with_probabilities)


def _write(
    predictor: nnUNetPredictor, prediction: CasePrediction, item: Mapping[str, Any], recorded: StockCase
) -> None:
    recorded.done()
    ending = predictor.dataset_json["file_ending"]
    try:
        write_case(prediction, item["data_properties"], predictor.plans_manager, ending, item["ofile"])
    except InputError as error:
        recorded.failed(str(error))
        raise


def predict_logits_from_preprocessed_data(predictor: nnUNetPredictor, data: Tensor) -> Tensor:
    """As nnU-Net's: (class, d, h, w) logits of a preprocessed image, mean of the folds, float32 to keep ties."""
    return _dense_logits(ensemble_of(predictor), data, settings_of(predictor))


def predict_sliding_window_return_logits(predictor: nnUNetPredictor, input_image: Tensor) -> Tensor:
    """As nnU-Net's, with the weights that the network has now."""
    return _dense_logits(ensemble_of(predictor, all_folds=False), input_image, settings_of(predictor))


def _dense_logits(ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings) -> Tensor:
    def decode(encoded: EncodedBox, block_points: int) -> Tensor:
        return torch.from_numpy(decode_logits(encoded, OutputGrid.native(image.shape[1:]), block_points))

    return predict_volume(ensemble, image, settings, decode)


def _routed(stock: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def method(self: nnUNetPredictor, *args: Any, **kwargs: Any) -> Any:
        chosen = ours if isinstance(bare_network(self.network), ImPulSeNet) else stock
        return chosen(self, *args, **kwargs)

    setattr(method, ROUTED_MARK, True)
    return method


def _loaded(data: Tensor | np.ndarray | str) -> Tensor:
    if isinstance(data, str):
        array = np.load(data)
        os.remove(data)
        return torch.from_numpy(array)
    return torch.from_numpy(data) if isinstance(data, np.ndarray) else data


def _as_stock_returns(prediction: CasePrediction) -> Any:
    if prediction.probabilities is None:
        return prediction.labels
    return prediction.labels, prediction.probabilities
