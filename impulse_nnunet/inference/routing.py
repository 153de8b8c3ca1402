"""Routing nnU-Net's own predictor to ours, for our network only (docs/decisions/0002-routing-stock-prediction.md).

``nnUNetPredictor`` slides windows and builds logits for the whole volume. Four of its methods are wrapped: where the
predictor carries an :class:`~impulse_nnunet.network.ImPulSeNet` they decode points, for every other network the
original runs untouched. The wrapping happens when ``impulse_nnunet.trainers`` is imported, which stock prediction does
when it looks up the trainer's name.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor, nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from impulse_nnunet.decoding import OutputGrid, decode_logits
from impulse_nnunet.devices import check_device
from impulse_nnunet.inference.case_input import iterate_files
from impulse_nnunet.inference.cases import CasePrediction, decode_case, write_case
from impulse_nnunet.inference.encoding import Ensemble, encode_image
from impulse_nnunet.inference.memory import with_less_memory
from impulse_nnunet.inference.writers import Writers
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.settings import ImPulSeSettings, settings_from_configuration
from impulse_nnunet.threads import keep_to_own_cores

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


def bare_network(network: nn.Module) -> nn.Module:
    """The network without the wrappers of torch.compile and DDP."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network


def ensemble_of(predictor: nnUNetPredictor, all_folds: bool = True) -> Ensemble:
    """The folds that a predictor carries; with ``all_folds`` False, the weights that its network has now."""
    network = bare_network(predictor.network)
    if not isinstance(network, ImPulSeNet):
        raise TypeError(f"the predictor carries a {type(network).__name__}, expected an ImPulSeNet")
    check_device(predictor.device)
    return Ensemble(network, predictor.list_of_parameters if all_folds else None, predictor.device)


def settings_of(predictor: nnUNetPredictor) -> ImPulSeSettings:
    """Settings from the plans that a predictor carries."""
    return settings_from_configuration(predictor.configuration_manager.configuration)


def predict_from_data_iterator(
    predictor: nnUNetPredictor,
    data_iterator: Iterable[dict[str, Any]],
    save_probabilities: bool = False,
    num_processes_segmentation_export: int = 2,
) -> list[Any]:
    """As nnU-Net's: write each case, or return it where ``ofile`` is None; no logits volume is made."""
    ensemble, settings = ensemble_of(predictor), settings_of(predictor)
    keep_to_own_cores(predictor.device)
    results: list[Any] = []
    with Writers(num_processes_segmentation_export) as writers:
        for item in tqdm(data_iterator, "Predicting cases", unit="case", disable=not predictor.allow_tqdm):
            properties, truncated = item["data_properties"], item["ofile"]
            case = "image" if truncated is None else os.path.basename(truncated)
            image = _loaded(item["data"])
            work = functools.partial(_encode_and_decode, predictor, image, properties, case, save_probabilities)
            prediction = with_less_memory(ensemble, settings, case, work)
            if truncated is None:
                results.append(_as_stock_returns(prediction))
            else:
                ending = predictor.dataset_json["file_ending"]
                write = functools.partial(
                    write_case, prediction, properties, predictor.plans_manager, ending, truncated
                )
                results.append(writers.submit(write))
        return [result.result() if isinstance(result, Future) else result for result in results]


def _encode_and_decode(
    predictor: nnUNetPredictor, image: Tensor, properties: dict[str, Any], case: str, save_probabilities: bool,
    ensemble: Ensemble, settings: ImPulSeSettings,
) -> CasePrediction:  # fmt: skip
    encoded = encode_image(ensemble, image, settings, case)
    block = settings.inference.block_points
    return decode_case(encoded, properties, predictor.plans_manager, block, save_probabilities)


def predict_logits_from_preprocessed_data(predictor: nnUNetPredictor, data: Tensor) -> Tensor:
    """As nnU-Net's: (class, d, h, w) logits of a preprocessed image, mean of the folds, float32 to keep ties."""
    return _dense_logits(ensemble_of(predictor), data, settings_of(predictor))


def predict_sliding_window_return_logits(predictor: nnUNetPredictor, input_image: Tensor) -> Tensor:
    """As nnU-Net's, with the weights that the network has now."""
    return _dense_logits(ensemble_of(predictor, all_folds=False), input_image, settings_of(predictor))


def _dense_logits(ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings) -> Tensor:
    def work(ensemble: Ensemble, settings: ImPulSeSettings) -> Tensor:
        encoded = encode_image(ensemble, image, settings)
        grid = OutputGrid.native(image.shape[1:])
        return torch.from_numpy(decode_logits(encoded, grid, settings.inference.block_points))

    return with_less_memory(ensemble, settings, "image", work)


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
