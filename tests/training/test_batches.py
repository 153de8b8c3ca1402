import threading
import time

import numpy as np
import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.geometry.coordinates import inside
from impulse_nnunet.settings import RegionSettings, SamplingSettings, TrainingSettings
from impulse_nnunet.training.batches import BatchMaker, CaseStore, OrderedPrefetcher
from impulse_nnunet.training.case_facts import FACTS_KEY, case_facts
from tests.support import MadeUpDataset, made_up_cases, settings_for

SETTINGS = settings_for(sampling=SamplingSettings(points=64), region=RegionSettings(mode="two_pass"))


def store_of(number=3, settings=SETTINGS, **arguments):
    return CaseStore(MadeUpDataset(made_up_cases(number)), settings, None, **arguments)


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.seed == b.seed
        assert torch.equal(a.volume, b.volume)
        assert torch.equal(a.points, b.points)
        assert torch.equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.box.matrix, b.box.matrix)
        np.testing.assert_array_equal(a.box.centre, b.box.centre)


def test_a_step_is_the_same_again_in_any_order():
    first = BatchMaker(store_of(), SETTINGS, 0, 0, 2)
    second = BatchMaker(store_of(), SETTINGS, 0, 0, 2)
    steps = [first(step) for step in range(4)]
    for step in (3, 0, 2, 1):
        assert_same(second(step), steps[step])


def test_two_processes_draw_what_one_would():
    together = BatchMaker(store_of(), SETTINGS, 0, 0, 4)(7)
    halves = [BatchMaker(store_of(), SETTINGS, 0, first, 2)(7) for first in (0, 2)]
    assert_same(halves[0] + halves[1], together)


@pytest.mark.parametrize("other", ["step", "place", "stream", "seed"])
def test_steps_places_streams_and_seeds_differ(other):
    reference = BatchMaker(store_of(), SETTINGS, 0, 0, 1)(0)[0]
    changed = {
        "step": BatchMaker(store_of(), SETTINGS, 0, 0, 1)(1),
        "place": BatchMaker(store_of(), SETTINGS, 0, 1, 1)(0),
        "stream": BatchMaker(store_of(), SETTINGS, 1, 0, 1)(0),
        "seed": BatchMaker(
            store_of(),
            settings_for(
                sampling=SamplingSettings(points=64),
                region=RegionSettings(mode="two_pass"),
                training=TrainingSettings(seed=1),
            ),
            0,
            0,
            1,
        )(0),
    }[other][0]
    assert not torch.equal(changed.points, reference.points)


def test_samples_hold_points_of_the_box_with_their_labels():
    cases = made_up_cases(1)
    segmentation = cases["case_0"][1]
    sample = BatchMaker(CaseStore(MadeUpDataset(cases), SETTINGS, None), SETTINGS, 0, 0, 1)(0)[0]
    assert sample.points.shape == (64, 3)
    assert sample.points.abs().max() <= 1
    positions = sample.points.double().numpy() @ sample.box.matrix.T + sample.box.centre
    index = np.floor((positions + 1) / 2 * np.array(segmentation.shape)).astype(int)
    assert sample.labels.tolist() == segmentation[tuple(index.T)].tolist()


def test_validation_boxes_are_not_augmented():
    settings = settings_for(sampling=SamplingSettings(points=8))
    training, validation = (BatchMaker(store_of(settings=settings), settings, s, 0, 1)(0)[0] for s in (0, 1))
    np.testing.assert_array_equal(validation.box.matrix, Box.whole().matrix)
    assert not np.array_equal(training.box.matrix, Box.whole().matrix)


def test_all_cases_are_met():
    dataset = MadeUpDataset(made_up_cases(3))
    maker = BatchMaker(CaseStore(dataset, SETTINGS, None), SETTINGS, 0, 0, 2)
    for step in range(20):
        maker(step)
    assert sorted(set(dataset.loaded)) == ["case_0", "case_1", "case_2"]


def test_cases_stay_in_memory():
    store = store_of()
    for _ in range(2):
        for identifier in store.identifiers:
            store[identifier]
    assert store.dataset.loaded == store.identifiers


def test_the_cache_keeps_to_its_limit_and_drops_the_oldest():
    nbytes = store_of()["case_0"].nbytes
    # 6 x 8 x 10 half-precision voxels and 8 x 9 x 10 int16 labels
    assert nbytes == 2 * 480 + 2 * 720
    store = store_of(cache_bytes=2 * nbytes)
    for identifier in ("case_0", "case_1", "case_0", "case_2", "case_0", "case_1"):
        store[identifier]
    # case_2 pushes out case_1, which was not used for longest; case_1 has to be loaded again
    assert store.dataset.loaded == ["case_0", "case_1", "case_2", "case_1"]


def test_stock_data_becomes_a_working_volume():
    cases = made_up_cases(1, shape=(8, 9, 10))
    volume = CaseStore(MadeUpDataset(cases), SETTINGS, None)["case_0"].volume
    assert volume.dtype == torch.float16
    assert volume.shape == (1, 6, 8, 10)  # the working grid, never finer than the image


def test_our_own_data_is_taken_as_it_is():
    image, segmentation, properties = made_up_cases(1, shape=(8, 9, 10))["case_0"]
    working = np.random.default_rng(0).normal(size=(1, 6, 8, 10)).astype(np.float16)
    facts = case_facts(image, segmentation[None], (), None) | {"mask_voxels": np.array([[1, 2, 3]], np.int16)}
    dataset = MadeUpDataset({"a": (working, segmentation, properties | {FACTS_KEY: facts})})
    case = CaseStore(dataset, SETTINGS, None)["a"]
    assert torch.equal(case.volume, torch.from_numpy(working))
    assert case.mask_voxels.tolist() == [[1, 2, 3]]


def test_the_foregrounds_faces_of_stock_data():
    segmentation = np.zeros((8, 9, 10), np.int16)
    segmentation[2:4, 3:6, 5:10] = 1
    dataset = MadeUpDataset({"a": (np.ones((1, 8, 9, 10), np.float32), segmentation, {"spacing": [1, 1, 1]})})
    # 2 * 2/8 - 1, 2 * 3/9 - 1, 2 * 5/10 - 1 and 2 * 4/8 - 1, 2 * 6/9 - 1, 1
    expected = [[-0.5, -1 / 3, 0], [0, 1 / 3, 1]]
    np.testing.assert_allclose(CaseStore(dataset, SETTINGS, None)["a"].foreground_faces, expected)


def test_extents_follow_the_transpose():
    cases = made_up_cases(1, shape=(8, 9, 10), spacing_mm=(1.0, 2.0, 3.0))
    store = CaseStore(MadeUpDataset(cases), SETTINGS, None, transpose_forward=(2, 0, 1))
    # volumes' axes carry the spacings 3, 1, 2
    assert store["case_0"].extent_mm.tolist() == [24, 9, 20]


@pytest.mark.parametrize("workers", [0, 3])
def test_results_come_in_order_and_follow_a_seek(workers):
    delays = iter([0.03, 0.0, 0.02, 0.0, 0.01] * 10)
    lock = threading.Lock()

    def slowly(step):
        with lock:
            delay = next(delays)
        time.sleep(delay)  # later steps overtake earlier ones
        return step

    loader = OrderedPrefetcher(slowly, workers, ahead=3)
    assert [next(loader) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    loader.seek(20)
    assert [next(loader) for _ in range(3)] == [20, 21, 22]
    loader.seek(23)
    assert next(loader) == 23
    loader.seek(2)
    assert next(loader) == 2
    loader.close()


def test_an_error_in_a_thread_reaches_the_caller():
    def fail(step):
        raise KeyError(step)

    loader = OrderedPrefetcher(fail, 1)
    with pytest.raises(KeyError):
        next(loader)
    loader.close()


def test_a_share_inside_masks_needs_the_voxels_of_the_masks():
    settings = settings_for(sampling=SamplingSettings(points=8, mask_share=0.5, tree_folders=("trees/vein",)))
    message = "case_0: found a preprocessed case without mask voxels, expected those that impulse.sampling names"
    with pytest.raises(InputError, match=message):
        CaseStore(MadeUpDataset(made_up_cases(1)), settings, None)["case_0"]


MANY = SamplingSettings(points=400)
SEARCHING = settings_for(sampling=MANY, region=RegionSettings(mode="two_pass", search_grid=(2, 4, 6)))


def test_a_localizer_changes_nothing_of_what_the_network_sees():
    without = settings_for(sampling=MANY, region=RegionSettings(mode="two_pass"))
    for step in range(4):
        samples = BatchMaker(store_of(settings=SEARCHING), SEARCHING, 0, 0, 2)(step)
        assert_same(samples, BatchMaker(store_of(settings=without), without, 0, 0, 2)(step))


def test_the_localizer_sees_the_whole_image_with_the_foreground_labelled():
    cases = made_up_cases(1)
    segmentation = cases["case_0"][1]
    maker = BatchMaker(CaseStore(MadeUpDataset(cases), SEARCHING, None), SEARCHING, 1, 0, 1)
    search = maker(0)[0].search
    np.testing.assert_array_equal(search.box.faces, Box.whole().faces)
    index = np.floor((search.points.double().numpy() + 1) / 2 * np.array(segmentation.shape)).astype(int)
    assert search.labels.tolist() == (segmentation[tuple(index.T)] > 0).astype(int).tolist()
    assert {0, 1} == set(search.labels.tolist())  # both labels of the case, 1 and 2, are foreground


def test_the_localizers_boxes_are_augmented_in_training():
    training, validation = (
        BatchMaker(store_of(settings=SEARCHING), SEARCHING, stream, 0, 1)(0)[0].search for stream in (0, 1)
    )
    assert not np.array_equal(training.box.matrix, Box.whole().matrix)
    np.testing.assert_array_equal(validation.box.matrix, Box.whole().matrix)


def test_half_of_the_localizers_points_lie_in_the_region():
    # the region, a block of 5 x 6 x 6 voxels with margins, is less than half of the image of 12 x 14 x 20
    dataset = MadeUpDataset(made_up_cases(1, shape=(12, 14, 20)))
    maker = BatchMaker(CaseStore(dataset, SEARCHING, None), SEARCHING, 1, 0, 1)
    region = region_box(maker.cases["case_0"].foreground_faces, SEARCHING.region.margin)
    within = inside(region.from_image(maker(0)[0].search.points.numpy())).mean()
    volume = np.prod(np.diag(region.matrix))
    # half of them, and of the other half the region's share of the image; standard deviation below 0.025
    assert within == pytest.approx(0.5 + 0.5 * volume, abs=0.1)


def test_what_is_ignored_is_no_foreground_either():
    cases = made_up_cases(1)
    segmentation = cases["case_0"][1]
    store = CaseStore(MadeUpDataset(cases), SEARCHING, ignore_label=2)
    search = BatchMaker(store, SEARCHING, 1, 0, 1)(0)[0].search
    index = np.floor((search.points.double().numpy() + 1) / 2 * np.array(segmentation.shape)).astype(int)
    there = segmentation[tuple(index.T)]
    assert set(there.tolist()) == {0, 1}  # no point lies where the label is 2
    assert search.labels.tolist() == there.tolist()


def test_without_a_grid_there_is_nothing_to_search():
    assert BatchMaker(store_of(), SETTINGS, 0, 0, 1)(0)[0].search is None


def test_a_dense_networks_sample_labels_every_voxel_of_its_grid():
    cases = made_up_cases(1)
    sample = BatchMaker(CaseStore(MadeUpDataset(cases), SETTINGS, None), SETTINGS, 0, 0, 1, whole_grid=True)(0)[0]
    assert sample.points is None
    centres = np.stack(np.meshgrid(*[(2 * np.arange(n) + 1) / n - 1 for n in (4, 6, 8)], indexing="ij"), -1)
    positions = centres.reshape(-1, 3) @ sample.box.matrix.T + sample.box.centre
    segmentation = cases["case_0"][1]
    index = np.clip(np.floor((positions + 1) / 2 * segmentation.shape).astype(int), 0, np.array(segmentation.shape) - 1)
    expected = np.where(np.abs(positions).max(1) <= 1, segmentation[tuple(index.T)], -1)
    np.testing.assert_array_equal(sample.labels, expected)


def test_images_are_pinned_where_the_store_is_told_to(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    store_of()["case_0"]
    assert pinned == []
    case = store_of(pin=True)["case_0"]
    assert pinned == [case.volume.shape]
