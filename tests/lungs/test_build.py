import json
import os

import nibabel
import numpy as np
import pytest

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.lungs.build import BuildOptions, build_inputs
from impulse_nnunet.lungs.sources import SourceOptions
from tests.lungs import made_up
from tests.lungs.test_models import SPLITS


def build(base, kind="ibav", bav="ground_truth", lobes=None, number=2, **more):
    """Build and return the folder."""
    folder = base / "nnUNet_raw" / f"Dataset{number:03d}_Built"
    labels = {part: more.pop(f"{part}_labels", ()) for part in ("bav", "lobes")}
    bav = SourceOptions(part="bav", source=str(bav), labels=labels["bav"]) if bav else None
    lobes = SourceOptions(part="lobes", source=str(lobes), labels=labels["lobes"]) if lobes else None
    build_inputs(folder, BuildOptions(kind=kind, ct="1", bav=bav, lobes=lobes, progress=False, **more))
    return folder


def content(folder, name="dataset.json"):
    return json.loads((folder / name).read_text())


def channels_of(folder, case, part="Tr"):
    return [made_up.read(path).astype(int) for path in sorted((folder / f"images{part}").glob(f"{case}_*"))]


def test_ibav_of_ground_truth(ct, nnunet_folders):
    folder = build(nnunet_folders)
    image, *masks = channels_of(folder, "a")
    np.testing.assert_array_equal(image, made_up.read(ct / "imagesTr" / "a_0000.nii.gz"))
    for mask, name in zip(masks, ("airway", "artery", "vein"), strict=True):
        np.testing.assert_array_equal(mask, made_up.tree(name))
    np.testing.assert_array_equal(made_up.read(folder / "labelsTr" / "a.nii.gz"), made_up.segments())
    assert len(channels_of(folder, "t", "Ts")) == 4
    assert (folder / "labelsTs" / "t.nii.gz").is_file()
    assert (folder / "trees" / "airway" / "t.nii.gz").is_file()  # evaluate needs it
    found = content(folder)
    assert found["channel_names"] == {"0": "CT", "1": "noNorm", "2": "noNorm", "3": "noNorm"}
    assert found["impulse_channels"] == ["CT", "bronchus", "artery", "vein"]
    assert found["numTraining"] == 4
    assert found["labels"] == made_up.LABELS
    assert "impulse_trees" not in found
    record = content(folder, "inputs.json")
    assert record["complete"]
    assert record["cases"]["a"] == {"bav": "ground_truth"}


def test_lbav_has_lobes_by_the_segments_and_no_image(ct, nnunet_folders):
    folder = build(nnunet_folders, "lbav", lobes="ground_truth")
    channels = channels_of(folder, "a")
    assert len(channels) == 8
    for number, mask in enumerate(channels[:5], 1):
        np.testing.assert_array_equal(mask, made_up.lobes() == number)
    np.testing.assert_array_equal(channels[6], made_up.tree("artery"))
    assert content(folder)["lobes"]["left upper lobe"] == [11, 12, 13, 14]
    # on the CT's grid, in mm: (x, y, z) spacings
    assert nibabel.load(folder / "imagesTr" / "a_0000.nii.gz").header.get_zooms() == (1.0, 1.5, 2.0)


@pytest.mark.parametrize(("kind", "lobes", "number"), [("i", None, 1), ("l", "ground_truth", 5)])
def test_inputs_without_trees_name_them_for_the_sampling(ct, nnunet_folders, kind, lobes, number):
    folder = build(nnunet_folders, kind, bav=None, lobes=lobes)
    assert len(channels_of(folder, "a")) == number
    assert content(folder)["impulse_trees"] == ["trees/airway", "trees/artery", "trees/vein"]
    assert content(folder, "inputs.json")["cases"]["t"].keys() == ({"lobes"} if lobes else set())


def test_without_any_trees_there_is_no_sampling(nnunet_folders):
    made_up.write_ct_dataset(nnunet_folders / "nnUNet_raw" / "Dataset001_Chest", trees=False)
    assert "impulse_trees" not in content(build(nnunet_folders, "i", bav=None))


def test_a_folder_of_label_maps_with_a_mapping(ct, nnunet_folders):
    maps = nnunet_folders / "maps"
    for case in "abcdt":
        made_up.write(maps / f"{case}.nii.gz", np.array([0, 4, 3, 1], np.uint8)[made_up.bav()])
    folder = build(nnunet_folders, bav=maps, bav_labels=("bronchus=4", "artery=3", "vein=1"))
    np.testing.assert_array_equal(channels_of(folder, "c")[1], made_up.tree("airway"))
    np.testing.assert_array_equal(channels_of(folder, "t", "Ts")[3], made_up.tree("vein"))
    assert content(folder, "inputs.json")["cases"]["c"] == {"bav": str(maps / "c.nii.gz")}


def test_predicted_trees_for_the_sampling_lie_apart_from_the_ground_truth(ct, nnunet_folders):
    maps = nnunet_folders / "maps"
    for case in "abcd":  # the test case needs none
        made_up.write(maps / f"{case}.nii.gz", 2 * made_up.tree("vein") + made_up.tree("airway") * 3)
    folder = build(nnunet_folders, "i", bav=maps, bav_labels=("bronchus=3", "artery=1", "vein=2"))
    assert content(folder)["impulse_trees"] == ["sampling/bronchus", "sampling/artery", "sampling/vein"]
    np.testing.assert_array_equal(made_up.read(folder / "sampling" / "bronchus" / "a.nii.gz"), made_up.tree("airway"))
    assert not made_up.read(folder / "sampling" / "artery" / "a.nii.gz").any()


def test_another_raw_data_set_as_folder_with_its_own_names(ct, nnunet_folders):
    other = nnunet_folders / "nnUNet_raw" / "Dataset009_Other"
    for case in "abcd":
        made_up.write(other / "labelsTr" / f"{case}.nii.gz", made_up.bav())
    made_up.write(other / "labelsTs" / "t.nii.gz", made_up.bav())
    (other / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "bronchus": 1, "artery": 2, "vein": 3}})
    )
    folder = build(nnunet_folders, bav=other)
    np.testing.assert_array_equal(channels_of(folder, "t", "Ts")[2], made_up.tree("artery"))


def test_a_models_shapes_come_from_the_fold_that_did_not_see_the_case(nnunet_folders):
    base = nnunet_folders
    made_up.write_ct_dataset(base / "nnUNet_raw" / "Dataset001_Chest", test=())
    model = made_up.write_model(base / "nnUNet_results", base / "nnUNet_preprocessed", SPLITS, (0, 1))
    # each fold's predictions are marked: fold 0 finds no artery, fold 1 no vein
    for case in "ab":
        made_up.write(model / "fold_0" / "validation" / f"{case}.nii.gz", made_up.bav() * (made_up.bav() != 2))
    for case in "cd":
        made_up.write(model / "fold_1" / "validation" / f"{case}.nii.gz", made_up.bav() * (made_up.bav() != 3))
    folder = build(base, bav=model)
    found = {case: [bool(mask.any()) for mask in channels_of(folder, case)[1:]] for case in "abcd"}
    assert found["a"] == found["b"] == [True, False, True]
    assert found["c"] == found["d"] == [True, True, False]
    record = content(folder, "inputs.json")["cases"]
    assert record["d"]["bav"] == "validation of fold 1 of Dataset007_BAV/nnUNetTrainer__nnUNetPlans__3d_fullres"
    # both stages use the same folds
    split = base / "nnUNet_preprocessed" / "Dataset002_Built" / "splits_final.json"
    assert json.loads(split.read_text()) == SPLITS


def test_a_model_that_saw_the_case_is_refused_and_nothing_looks_finished(ct, nnunet_folders):
    base = nnunet_folders
    model = made_up.write_model(base / "nnUNet_results", base / "nnUNet_preprocessed", SPLITS, (0,))
    with pytest.raises(CasesFailedError) as error:
        build(base, bav=model)
    assert sorted(error.value.failures) == ["c", "d"]
    assert "every trained fold" in error.value.failures["c"]
    assert not (base / "nnUNet_raw" / "Dataset002_Built" / "dataset.json").exists()


def test_a_case_without_bav(ct, nnunet_folders):
    (ct / "trees" / "artery" / "b.nii.gz").unlink()
    with pytest.raises(
        CasesFailedError, match=r"1 of 5 cases failed:\n  b: found no file .*artery/b\.nii\.gz, expected its"
    ):
        build(nnunet_folders)


def test_an_empty_tree_of_ground_truth(ct, nnunet_folders):
    made_up.write(ct / "trees" / "vein" / "b.nii.gz", np.zeros(made_up.SHAPE, np.uint8))
    with pytest.raises(CasesFailedError, match="b: found no voxel of vein, expected a mask with content"):
        build(nnunet_folders)


def test_a_mapping_that_misses_a_value(ct, nnunet_folders):
    maps = nnunet_folders / "maps"
    for case in "abcdt":
        made_up.write(maps / f"{case}.nii.gz", made_up.bav())
    with pytest.raises(
        CasesFailedError, match=r"maps/a\.nii\.gz: found value 3 in 32 voxels, which `bav_labels` does not"
    ):
        build(nnunet_folders, bav=maps, bav_labels=("bronchus=1", "artery=2", "vein=9"))


def test_a_mask_on_another_grid(ct, nnunet_folders):
    made_up.write(ct / "trees" / "vein" / "c.nii.gz", np.ones((6, 8, 21), np.uint8))
    message = r"vein/c\.nii\.gz: found shape \(6, 8, 21\), expected \(6, 8, 20\) as in .*c_0000\.nii\.gz; correct"
    with pytest.raises(CasesFailedError, match=message):
        build(nnunet_folders)


def test_lobes_of_a_folder_that_lie_elsewhere(ct, nnunet_folders):
    maps = nnunet_folders / "maps"
    for case in "abcdt":
        made_up.write(maps / f"{case}.nii.gz", made_up.lobes())
    swapped = ("RUL=4", "RML=5", "RLL=2", "LUL=1", "LLL=3")
    with pytest.raises(CasesFailedError, match=r"a: found 100\.0 % of the segments' voxels outside their lobe"):
        build(nnunet_folders, "l", lobes=maps, lobes_labels=swapped)
    folder = build(nnunet_folders, "l", lobes=maps, lobes_labels=("RUL=1", "RML=2", "RLL=3", "LUL=4", "LLL=5"))
    np.testing.assert_array_equal(channels_of(folder, "a")[2], made_up.lobes() == 3)


@pytest.mark.parametrize(
    ("kind", "sources", "message"),
    [
        (
            "ibav",
            {"bav": None},
            "`bav`: found nothing, expected ground_truth, a model's folder .*`kind` ibav needs it",
        ),
        ("l", {}, "`lobes`: found nothing, .*`kind` l needs it"),
        ("i", {"lobes": "ground_truth"}, "`lobes`: found ground_truth, expected none with `kind` i"),
        ("x", {}, "`kind`: found 'x', expected i or ibav or l or lbav"),
        (
            "ibav",
            {"bav": "nowhere"},
            "`bav` nowhere: found no such folder, expected ground_truth, the folder of a trained",
        ),
    ],
)
def test_sources_that_do_not_fit_the_kind(ct, nnunet_folders, kind, sources, message):
    with pytest.raises(InputError, match=message):
        build(nnunet_folders, kind, **sources)


def test_a_ct_data_set_with_several_channels(ct, nnunet_folders):
    build(nnunet_folders)
    with pytest.raises(
        InputError, match=r"`ct` 2: found 4 channels \(CT, noNorm, noNorm, noNorm\), expected one, the CT"
    ):
        build_inputs(nnunet_folders / "out", BuildOptions(kind="i", ct="2"))


def test_lobes_of_other_labels_than_segments(ct, nnunet_folders):
    found = content(ct) | {"labels": {"background": 0, "lung": 1}}
    (ct / "dataset.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"found labels \[0, 1\], expected 0 to 18, the pulmonary segments"):
        build(nnunet_folders, "l", lobes="ground_truth")


def test_a_case_in_both_parts(ct, nnunet_folders):
    made_up.write(ct / "imagesTs" / "a_0000.nii.gz", made_up.segments())
    with pytest.raises(InputError, match="a: found the case in imagesTr and in imagesTs"):
        build(nnunet_folders)


def test_a_second_call_keeps_what_is_done_and_redoes_what_changed(ct, nnunet_folders):
    folder = build(nnunet_folders)
    files = {case: folder / "imagesTr" / f"{case}_0001.nii.gz" for case in "ab"}
    times = {case: file.stat().st_mtime_ns for case, file in files.items()}
    other = made_up.tree("airway")
    other[0, 0, 0] = 1
    path = made_up.write(ct / "trees" / "airway" / "b.nii.gz", other)
    os.utime(path, (1, 1))  # an older file, as copied with its time
    os.utime(ct / "trees" / "airway" / "a.nii.gz")  # touched
    build(nnunet_folders)
    assert files["a"].stat().st_mtime_ns == times["a"]
    np.testing.assert_array_equal(made_up.read(files["b"]), other)


def test_a_product_that_someone_else_wrote_over_is_made_again(ct, nnunet_folders):
    folder = build(nnunet_folders)
    made_up.write(folder / "imagesTr" / "a_0001.nii.gz", made_up.bav())
    build(nnunet_folders)
    np.testing.assert_array_equal(channels_of(folder, "a")[1], made_up.tree("airway"))


def test_cases_that_are_no_more_are_taken_out(ct, nnunet_folders):
    folder = build(nnunet_folders)
    for place in ("imagesTr/d_0000", "labelsTr/d"):
        (ct / f"{place}.nii.gz").unlink()
    build(nnunet_folders)
    assert sorted({path.name[0] for path in (folder / "imagesTr").iterdir()}) == ["a", "b", "c"]
    assert content(folder)["numTraining"] == 3
    assert sorted(path.stem for path in (folder / "records").iterdir()) == ["a", "b", "c", "t"]


def test_a_folder_of_other_settings_needs_overwrite(ct, nnunet_folders):
    build(nnunet_folders)
    with pytest.raises(
        InputError, match=r"found inputs of other settings \(bav, inputs\), expected a new folder or the"
    ):
        build(nnunet_folders, "i", bav=None)
    folder = build(nnunet_folders, "i", bav=None, overwrite=True)
    assert len(channels_of(folder, "a")) == 1


def test_a_folder_of_someone_else_is_refused_even_with_overwrite(ct, nnunet_folders):
    other = nnunet_folders / "nnUNet_raw" / "Dataset002_Built" / "imagesTr"
    other.mkdir(parents=True)
    (other / "precious.nii.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="Dataset002_Built: found files that this command did not write"):
        build(nnunet_folders, overwrite=True)
    assert (other / "precious.nii.gz").is_file()


def test_another_split_that_is_there_is_not_overwritten(ct, nnunet_folders):
    pre = nnunet_folders / "nnUNet_preprocessed"
    for name, splits in (("Dataset001_Chest", SPLITS), ("Dataset002_Built", SPLITS[::-1])):
        (pre / name).mkdir()
        (pre / name / "splits_final.json").write_text(json.dumps(splits))
    with pytest.raises(InputError, match=r"splits_final\.json: found another split"):
        build(nnunet_folders)
    build(nnunet_folders, overwrite=True)
    assert json.loads((pre / "Dataset002_Built" / "splits_final.json").read_text()) == SPLITS
