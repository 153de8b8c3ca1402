import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from impulse_nnunet.preprocessing.preprocessor import ImPulSePreprocessor
from impulse_nnunet.preprocessing.progress import save_case


def test_a_stored_case_is_read_by_nnunets_own_data_set(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(2, 5, 6, 7)).astype(np.float16)
    segmentation = rng.integers(0, 3, (1, 70, 9, 10)).astype(np.int8)
    save_case(volume, segmentation, {"spacing": [1, 2, 3]}, tmp_path / "case_7")
    dataset = nnUNetDatasetBlosc2(str(tmp_path))
    assert list(dataset.identifiers) == ["case_7"]
    data, labels, _, properties = dataset.load_case("case_7")
    np.testing.assert_array_equal(data[:], volume)
    np.testing.assert_array_equal(labels[:], segmentation)
    assert properties == {"spacing": [1, 2, 3]}


def test_no_voxel_lists_of_nnunets_are_made():
    assert ImPulSePreprocessor._sample_foreground_locations(np.ones((1, 3, 3, 3)), [1], verbose=False) == {}
