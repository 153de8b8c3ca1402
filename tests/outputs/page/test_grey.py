import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.outputs.page.frame import PageFrame
from impulse_nnunet.outputs.page.grey import Grey, block_means, read_grey
from tests.outputs.page import scenes


def test_hu_are_kept_to_half_a_step():
    values = np.arange(-1020, 3200).reshape(1, 1, -1).astype(np.int16)
    grey = Grey(values=values, is_hu=True)
    levels = grey.levels()
    assert len(levels) <= 256
    assert (np.diff(levels) > 0).all()
    off = np.abs(levels[grey.coded((1, 1, 1))] - values)
    # 10 HU steps below -200, 5 to 300, 20 to 1400, 100 above
    assert [off[values < -200].max(), off[(values > -200) & (values < 300)].max()] == [5, 2]
    assert off[(values > 300) & (values < 1400)].max() == 10
    assert off.max() == 50


def test_other_values_get_256_even_steps_and_windows_of_percentiles():
    grey = Grey(values=np.arange(1001.0).reshape(7, 11, 13), is_hu=False)
    assert np.diff(grey.levels()) == pytest.approx(1000 / 255)
    assert grey.windows() == [
        {"name": "Auto", "low": pytest.approx(10), "high": pytest.approx(990)},
        {"name": "Full", "low": 0, "high": 1000},
    ]
    flat = Grey(values=np.full((2, 2, 2), 7.0), is_hu=False)
    assert flat.levels()[flat.coded((1, 1, 1))] == pytest.approx(np.full((2, 2, 2), 7.0))


def test_means_of_blocks_also_where_the_last_is_incomplete():
    values = np.array([[[1, 3, 5], [3, 5, 9]]])
    assert block_means(values, (1, 2, 2)).tolist() == [[[3, 7]]]


@pytest.fixture
def frame(tmp_path):
    labels = read_label_map(scenes.write_case(tmp_path))
    return PageFrame.around([labels.labels], labels.grid, 10), labels.grid


def test_an_image_on_the_same_grid_is_cut_like_the_labels(frame, tmp_path):
    grey = read_grey(tmp_path / "images" / "case_1_0000.nii.gz", *frame)
    assert (grey.is_hu, grey.resampled) == (True, False)
    assert (grey.values == frame[0].turned(scenes.ct())).all()


def test_an_image_stored_the_other_way_round_shows_the_same(frame, tmp_path):
    other = scenes.store(scenes.ct(), tmp_path / "other.nii.gz", flips=(-1, 1, -1))
    grey = read_grey(other, *frame)
    assert grey.resampled
    assert grey.outside == 0
    assert np.abs(grey.values - frame[0].turned(scenes.ct())).max() < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda image: image.SetOrigin((5000.0, 0, 0)),
            "found an image that lies elsewhere, expected one that covers the labels",
        ),
        (None, "found no such file"),
    ],
)
def test_images_that_cannot_be_shown(frame, tmp_path, change, message):
    import SimpleITK as sitk

    path = tmp_path / "bad.nii.gz"
    if change is not None:
        image = sitk.ReadImage(str(tmp_path / "images" / "case_1_0000.nii.gz"))
        change(image)
        sitk.WriteImage(image, str(path))
    with pytest.raises(InputError, match=message):
        read_grey(path, *frame)


def test_not_finite(frame, tmp_path):
    path = scenes.store(np.where(scenes.ct() > 0, np.nan, 0).astype(np.float32), tmp_path / "nan.nii.gz")
    with pytest.raises(InputError, match="NaN or infinite voxels"):
        read_grey(path, *frame)
