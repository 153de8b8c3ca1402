"""Prediction on a real GPU: labels against the CPU's, precision, too little memory, the stock route.

``IMPULSE_TEST_DEVICE=cpu`` rehearses all of it on the CPU, so that it cannot be broken on first contact.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from impulse_nnunet.decoding import OutputGrid, decode_labels, decode_logits
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import Ensemble, ensemble_of, settings_of
from impulse_nnunet.inference.upload import working_volume_on
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from tests.device.tiny_model import DEVICE, MARKS, ON_GPU, SPACING_MM, say, unseen_image

pytestmark = MARKS
CPU = torch.device("cpu")
FINE = (72, 84, 96)  # voxels: three of them for each of the image's
BLOCK = 32768


def predictor_on(device, model):
    predictor = ImPulSePredictor(device, progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(model.folder), (0,))
    return predictor


def preprocessed(predictor):
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    return preprocessor.run_case_npy(
        unseen_image(),
        None,
        {"spacing": [SPACING_MM] * 3},
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
    )


def exact_ensemble(device, model, precision="float32"):
    """A model in full precision, on the CPU too, its settings and an image."""
    predictor = predictor_on(device, model)
    data, _, _ = preprocessed(predictor)
    network = predictor.network
    network.load_state_dict(predictor.list_of_parameters[0])
    for part in (network, network.localizer):
        part.encoder_bfloat16 = False
    ensemble = Ensemble(network, None, device, precision=precision)
    return ensemble, settings_of(predictor), torch.from_numpy(data)


def logits_of(device, model, precision="float32"):
    """Logits (class, voxel) of the fine grid in a box that hangs on no first pass."""
    ensemble, settings, image = exact_ensemble(device, model, precision)
    volume = working_volume_on(device, image, settings.grid.working_grid)
    encoded = ensemble.encode(volume, Box.from_faces([-0.9] * 3, [0.9] * 3), settings.grid.input_grid)
    logits = decode_logits(encoded, OutputGrid.native(FINE), BLOCK)
    return logits.reshape(len(logits), -1)


def lead_of(logits):
    """By how much the best class leads at each voxel."""
    second, best = np.partition(logits, -2, axis=0)[-2:]
    return best - second


def test_labels_agree_with_those_of_the_cpu(model, capsys):
    """In float32 on both, all but ties; in the precision of the day, the shares are printed."""
    wanted = logits_of(CPU, model)
    lead, labels = lead_of(wanted), wanted.argmax(0)
    lines = []
    for precision in ("float32", "tf32", "half"):
        same = logits_of(DEVICE, model, precision).argmax(0) == labels
        shares = {least: float(same[lead >= least].mean()) for least in (0.0, 1e-2, 1e-1)}
        lines.append(
            f"{precision}: " + ", ".join(f"{share:.6f} (lead from {least:g})" for least, share in shares.items())
        )
        if precision == "float32":
            assert shares[1e-2] >= 0.9999
        assert shares[1e-1] >= 0.999, precision
    say(capsys, "\n  ".join([f"same labels on the CPU and on {DEVICE}", *lines]))


def test_labels_of_the_kernels_are_those_of_the_logits(model):
    """What writes labels alone agrees with what writes all logits."""
    ensemble, settings, image = exact_ensemble(DEVICE, model)
    encoded = encode_image(ensemble, image, settings)
    grid = OutputGrid.native(FINE)
    logits = decode_logits(encoded, grid, BLOCK).reshape(encoded.number_of_classes, -1)
    same = decode_labels(encoded, grid, BLOCK).reshape(-1) == logits.argmax(0)
    assert same[lead_of(logits) >= 1e-2].mean() >= 0.9999


@pytest.mark.parametrize("precision", ["half", "tf32"])
def test_half_precision_against_float32(model, precision, capsys):
    exact, quick = logits_of(DEVICE, model), logits_of(DEVICE, model, precision)
    difference = np.abs(quick - exact)
    say(
        capsys,
        f"{precision} against float32 on {DEVICE}: mean {difference.mean():g}, largest {difference.max():g}, of logits "
        f"with a standard deviation of {exact.std():g}",
    )
    assert np.isfinite(quick).all()
    assert difference.mean() < 0.02 * exact.std()


def test_the_working_volume_is_the_same_on_the_device():
    image = torch.randn(2, 90, 100, 110, generator=torch.Generator().manual_seed(0)) * 100
    found = working_volume_on(DEVICE, image, (32, 40, 48)).cpu().float()
    torch.testing.assert_close(found, to_working_volume(image, (32, 40, 48)).float(), rtol=2**-10, atol=2**-10)


def test_too_little_memory_ends_on_the_cpu(model, caplog, monkeypatch):
    """A GPU that gives nothing more once the network is there; in the rehearsal a first failure that is made up."""
    predictor = predictor_on(DEVICE, model)
    wanted = predictor.predict_array(unseen_image(), [SPACING_MM] * 3)
    with caplog.at_level(logging.WARNING), full_device(monkeypatch):
        found = predictor.predict_array(unseen_image(), [SPACING_MM] * 3)
    place = "blocks of 1/1 on cpu" if ON_GPU else "blocks of 1/4 on cpu"
    assert any(f"image: out of memory on {DEVICE}, going on with {place}" in message for message in caplog.messages)
    assert (found == wanted).mean() > 0.95
    assert found.max() > 0


class full_device:  # noqa: N801  a context manager
    """No further memory on the device as long as the block runs."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.ballast = monkeypatch, []

    def _fill(self, size):
        try:
            while True:
                self.ballast.append(torch.empty(size, dtype=torch.uint8, device=DEVICE))
        except torch.cuda.OutOfMemoryError:
            return

    def __enter__(self):
        original = Ensemble.__init__
        encode, failures = Ensemble.encode, iter([True])

        def filled(ensemble, *arguments, **more):
            original(ensemble, *arguments, **more)
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(DEVICE).total_memory
            torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
            for size in (2**20, 2**16, 2**12):  # what is free within the memory that PyTorch holds
                self._fill(size)

        def failing(ensemble, *arguments):
            if next(failures, False):
                raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")
            return encode(ensemble, *arguments)

        if ON_GPU:
            self.monkeypatch.setattr(Ensemble, "__init__", filled)
        else:
            self.monkeypatch.setattr(Ensemble, "encode", failing)

    def __exit__(self, *_):
        self.monkeypatch.undo()
        self.ballast.clear()
        if ON_GPU:
            torch.cuda.set_per_process_memory_fraction(1.0)


def test_stock_prediction_gives_our_labels(model):
    """What nnUNetv2_predict does with a case, without its processes."""
    ours = predictor_on(DEVICE, model)
    data, _, properties = preprocessed(ours)
    stock = nnUNetPredictor(device=DEVICE, use_mirroring=False, allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(model.folder), (0,), "checkpoint_final.pth")
    case = {"data": torch.from_numpy(data), "data_properties": properties, "ofile": None}
    (found,) = stock.predict_from_data_iterator([case])
    wanted = ours.predict_array(unseen_image(), [SPACING_MM] * 3)
    assert found.max() > 0
    np.testing.assert_array_equal(found, wanted)


def test_two_predictions_are_the_same(model):
    first, second = (predictor_on(DEVICE, model).predict_array(unseen_image(), [SPACING_MM] * 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_ruined_weights_are_named(model):
    ensemble, settings, image = exact_ensemble(DEVICE, model, "half")
    with torch.no_grad():
        next(ensemble.network.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="case_1: found NaN or infinite features"):
        encode_image(ensemble, image, settings, "case_1")


def test_a_case_on_the_device_is_encoded_with_all_folds(model):
    predictor = predictor_on(DEVICE, model)
    one = predictor.list_of_parameters[0]
    predictor.list_of_parameters = [one, one]
    both = encode_image(ensemble_of(predictor), torch.from_numpy(preprocessed(predictor)[0]), settings_of(predictor))
    predictor.list_of_parameters = [one]
    alone = encode_image(ensemble_of(predictor), torch.from_numpy(preprocessed(predictor)[0]), settings_of(predictor))
    grid = OutputGrid.native((24, 28, 32))
    np.testing.assert_allclose(decode_logits(both, grid, BLOCK), decode_logits(alone, grid, BLOCK), atol=1e-4)
