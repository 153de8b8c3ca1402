"""The device path in plain PyTorch on the CPU, and everything around the engines."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels, device_volumes
from impulse_nnunet.decoding.device_fold import LARGEST_HALF, fold_of, padded
from impulse_nnunet.decoding.device_parts import GridPart, Placement, parts_of
from impulse_nnunet.decoding.device_torch import first_largest
from impulse_nnunet.decoding.device_volumes import Engine, device_labels, device_logits
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import inside, sample_points
from tests.decoding.device_agreement import agrees, dense_agrees, ensembles_agree
from tests.decoding.device_cases import BOXES, GRID, PARTS, SIZES, expected, member, plain_box


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("storage", [torch.float32, torch.float16])
def test_boxes(box, storage):
    agrees(False, [member()], box, storage)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("classes", [2, 19, 40, 300])
def test_sizes(sizes, classes):
    agrees(False, [member(classes, sizes)], block=50)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("box", ["part", "turned"])
def test_parts(parts, box):
    agrees(False, [member(parts=parts)], box)


def test_dense_networks():
    dense_agrees(False)


@pytest.mark.parametrize("box", ["part", "turned"])
def test_ensembles(box):
    ensembles_agree(False, box)


def test_blocks_change_nothing():
    encoded, engine = plain_box([member()], BOXES["part"]), Engine(False)
    found = [device_labels(encoded, GRID, block, engine) for block in (1, 3, 10**5)]
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])


def test_heads_of_another_kind_are_evaluated_by_the_network():
    decoder, pyramid = member()
    decoder.correction = torch.nn.Linear(4 + 8 + 3, 3)
    agrees(False, [(decoder, pyramid)], "turned")


def test_features_in_half_precision():
    decoder, pyramid = member()
    half = [level.half() for level in pyramid]
    encoded = plain_box([(decoder, half)], Box.whole())
    encoded.members[0].pyramid = half  # as they stay on a GPU
    logits, _ = expected([(decoder, [level.float() for level in half])], Box.whole())
    np.testing.assert_allclose(device_logits(encoded, GRID, 9, Engine(False, torch.float32)), logits, atol=2e-4)


def test_values_beyond_float16_are_kept_in_float32():
    decoder, pyramid = member()
    assert fold_of(decoder, pyramid, 7).levels.dtype == torch.float16
    large = [level * 1e6 for level in pyramid]
    fold = fold_of(decoder, large, 7)
    assert fold.levels.dtype == torch.float32
    assert fold.levels.abs().max() > LARGEST_HALF


def test_parts_hold_each_voxel_once_and_never_too_many():
    whole, seen = GridPart((2, 3, 4), (5, 6, 7)), np.zeros((9, 10, 12), int)
    for voxels in (1, 5, 7, 20, 42, 100, 1000):
        seen[:] = 0
        for part in parts_of(whole, voxels):
            assert part.voxels <= voxels
            seen[part.slices] += 1
        assert seen.sum() == 5 * 6 * 7
        assert (seen[whole.slices] == 1).all()


def test_a_box_beside_the_grid_has_no_parts():
    placement = Placement.of(OutputGrid.native((3, 3, 3)), Box.from_faces([1.5] * 3, [2] * 3))
    assert not list(placement.parts(10))


def test_the_first_of_equal_logits_wins():
    logits = torch.tensor([[1.0, 2, 2], [3, 3, 3], [0, 1, 2], [float("nan")] * 3])
    assert first_largest(logits).tolist() == [1, 0, 2, 0]


def test_padding():
    assert [padded(n) for n in (1, 16, 17, 19, 64, 65, 256)] == [16, 16, 32, 32, 64, 128, 256]


class FailingKernel(SimpleNamespace):
    ERRORS = (RuntimeError,)

    def evaluate(self, *_):
        raise self.error


def test_a_kernel_that_does_not_compile_gives_way_with_one_warning(caplog):
    encoded, engine = plain_box([member()], BOXES["part"]), Engine(False)
    expected_labels = device_labels(encoded, GRID, 3, engine)
    engine.kernel = FailingKernel(error=RuntimeError("Failed to find C compiler.\nPlease specify one"))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(device_labels(encoded, GRID, 3, engine), expected_labels)
        device_labels(encoded, GRID, 3, engine)
    assert [record.getMessage() for record in caplog.records] == [
        "decoding in plain PyTorch, which is slower: Triton says Failed to find C compiler. Please specify one"
    ]


def test_too_little_memory_is_no_failure_of_the_kernel():
    encoded, engine = plain_box([member()], BOXES["part"]), Engine(False)
    engine.kernel = FailingKernel(error=torch.cuda.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        device_labels(encoded, GRID, 3, engine)


def test_without_triton_there_is_a_warning(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "impulse_nnunet.decoding.device_kernel", raising=False)
    with caplog.at_level(logging.WARNING):
        assert Engine(True).kernel is None
    assert "install Triton for the fast way" in caplog.text


def test_the_package_does_not_import_triton():
    code = "import impulse_nnunet.decoding, sys; sys.exit('impulse_nnunet.decoding.device_kernel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_boxes_that_are_not_on_the_cpu_take_the_device_path(monkeypatch):
    encoded = plain_box([member()], BOXES["part"])
    every = device_labels(encoded, GRID, 9)
    encoded.on_cpu, encoded.plain = False, False
    taken = []
    monkeypatch.setattr(device_volumes.Engine, "fold", _spy(device_volumes.Engine.fold, taken))
    np.testing.assert_array_equal(decode_labels(encoded, GRID, 9), every)
    assert taken == [1]


def _spy(method, taken):
    def spying(*arguments):
        taken.append(1)
        return method(*arguments)

    return spying


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_gpu(classes=19):
    decoder, pyramid = member(classes, "four levels", input_grid=(16, 24, 32))
    return decoder.cuda(), [level.cuda() for level in pyramid]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("box", ["part", "turned"])
def test_a_gpu_against_double_precision(box):
    decoder, pyramid = on_gpu()
    encoded, grid = EncodedBox([(decoder, pyramid)], BOXES[box]), OutputGrid.native((64, 64, 64))
    logits, _ = double(decoder, pyramid, BOXES[box], grid)
    lead = np.sort(logits, 0)[-1] - np.sort(logits, 0)[-2]
    # float32 storage shows the algorithm; float16, logits of about 10, keeps 11 bits of what the norms then enlarge
    for storage, largest, mean, clear in ((torch.float32, 1e-3, 1e-5, 2e-3), (None, 0.2, 1e-3, 0.2)):
        engine = Engine(True, storage)
        off = np.abs(device_logits(encoded, grid, 32768, engine) - logits)
        assert off.max() < largest
        assert off.mean() < mean
        labels = device_labels(encoded, grid, 32768, engine)
        assert engine.kernel is not None
        np.testing.assert_array_equal(labels[lead > clear], logits.argmax(0)[lead > clear])


def double(decoder, pyramid, box, grid):
    """The network's own decoder on the GPU in float64; its encoding is made here, for it would round to float32."""
    index = np.stack(np.unravel_index(np.arange(np.prod(grid.shape)), grid.shape), -1)
    exact = box.from_image(grid.positions(index))
    points, decoder = torch.from_numpy(exact).cuda()[None], decoder.double()
    with torch.no_grad():
        features = [sample_points(level.double(), points).transpose(1, 2) for level in pyramid]
        encoding = torch.cat([*features, points], -1)
        moved = torch.tanh(decoder.deformation(encoding))
        logits = (decoder.template(points + moved) + decoder.correction(encoding))[0].cpu().numpy()
    decoder.float()
    logits[~inside(exact)] = [0, *[-30] * (logits.shape[1] - 1)]
    return logits.T.reshape(-1, *grid.shape), moved


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_says_the_same_twice():
    encoded, grid = EncodedBox([on_gpu()], BOXES["part"]), OutputGrid.native((64, 64, 64))
    np.testing.assert_array_equal(decode_labels(encoded, grid, 32768), decode_labels(encoded, grid, 32768))
