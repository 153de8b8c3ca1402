import numpy as np
import pytest
import torch

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.decoding.point_decoders import FoldedPoints, PlainPoints, points_of
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import NetworkSettings, build_network
from tests.support import perturb_heads, small_network

WIDE = NetworkSettings(
    features_per_stage=(6, 10, 20, 24),
    strides=((1, 1, 1), (2, 2, 2), (1, 2, 2), (2, 1, 2)),
    blocks_per_stage=(1, 1, 1, 1),
    template_grid=(5, 7, 9),
)


def encoded(network, size=(8, 12, 16), channels=2):
    network.decoder.template.set_logits(torch.randn(network.decoder.template.logits.shape[1:]) * 3)
    with torch.no_grad():
        for head in (network.decoder.deformation, network.decoder.correction):
            for norm in (head.hidden[1], head.shortcut[1]):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_()
        return network.decoder, [level.float() for level in network.encode(torch.randn(1, channels, *size))]


def points(number=500, reach=1.0):
    return np.random.default_rng(0).uniform(-reach, reach, (number, 3)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 16, 19, 33])
def test_folding_changes_nothing(classes):
    decoder, pyramid = encoded(perturb_heads(build_network(WIDE, 2, classes).eval()))
    # what the network itself says is the known answer
    with torch.no_grad():
        expected = decoder(pyramid, torch.from_numpy(points())[None])
    logits, displacement = FoldedPoints(decoder, pyramid).evaluate(points())
    assert logits.shape == (500, classes)
    np.testing.assert_allclose(displacement, expected.displacement[0].numpy(), atol=2e-5)
    np.testing.assert_allclose(logits, expected.logits[0].numpy(), rtol=1e-4, atol=2e-4)


def test_folding_holds_on_the_faces_and_beyond():
    decoder, pyramid = encoded(perturb_heads(small_network().eval()), (4, 6, 8))
    far = points(300, reach=1.5)
    far[:8] = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), -1).reshape(8, 3)
    with torch.no_grad():
        expected = decoder(pyramid, torch.from_numpy(far)[None])
    np.testing.assert_allclose(
        FoldedPoints(decoder, pyramid).evaluate(far)[0], expected.logits[0].numpy(), rtol=1e-4, atol=2e-4
    )


def test_levels_of_one_voxel_and_dropout_in_evaluation():
    settings = NetworkSettings(
        features_per_stage=(4, 8),
        strides=((1, 1, 1), (2, 2, 1)),
        blocks_per_stage=(1, 1),
        template_grid=(1, 2, 1),
        head_features=8,
        head_dropout=0.5,
    )
    decoder, pyramid = encoded(perturb_heads(build_network(settings, 1, 3).eval()), (2, 2, 2), 1)
    with torch.no_grad():
        expected = decoder(pyramid, torch.from_numpy(points())[None])
    np.testing.assert_allclose(
        FoldedPoints(decoder, pyramid).evaluate(points())[0], expected.logits[0].numpy(), rtol=1e-4, atol=2e-4
    )


def test_other_heads_are_evaluated_by_the_network():
    decoder, pyramid = encoded(small_network().eval(), (4, 6, 8))
    decoder.correction = torch.nn.Linear(4 + 8 + 3, 3)
    assert isinstance(points_of(decoder, pyramid), PlainPoints)
    with pytest.raises(TypeError, match="no PointHead"):
        FoldedPoints(decoder, pyramid)
    with torch.no_grad():
        expected = decoder(pyramid, torch.from_numpy(points())[None])
    np.testing.assert_allclose(points_of(decoder, pyramid).evaluate(points())[0], expected.logits[0].numpy())


def test_half_precision_features_are_evaluated_in_single_precision():
    decoder, pyramid = encoded(perturb_heads(small_network().eval()), (4, 6, 8))
    half = [level.bfloat16() for level in pyramid]
    with torch.no_grad():
        expected = decoder([level.float() for level in half], torch.from_numpy(points())[None])
    for kind in (FoldedPoints, PlainPoints):
        np.testing.assert_allclose(kind(decoder, half).evaluate(points())[0], expected.logits[0], rtol=1e-4, atol=2e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_the_same():
    decoder, pyramid = encoded(perturb_heads(small_network().eval()), (4, 6, 8))
    expected = points_of(decoder, pyramid).evaluate(points())[0]
    found = points_of(decoder.cuda(), [level.cuda() for level in pyramid])
    assert isinstance(found, PlainPoints)  # volumes are another matter: test_device_volumes
    np.testing.assert_allclose(found.evaluate(points())[0], expected, rtol=1e-3, atol=1e-3)


def test_threads_get_every_job_once_and_leave_pytorch_as_it_was():
    box, before = EncodedBox([encoded(small_network().eval(), (4, 6, 8))], Box.whole()), torch.get_num_threads()
    seen = []
    with box.workers() as share:
        share(seen.append, 100)
    assert sorted(seen) == list(range(100))
    assert torch.get_num_threads() == before


def test_an_error_in_a_thread_is_raised():
    box = EncodedBox([encoded(small_network().eval(), (4, 6, 8))], Box.whole())
    with pytest.raises(ZeroDivisionError), box.workers() as share:
        share(lambda i: 1 / (i - 3), 10)
