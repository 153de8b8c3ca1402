import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.lungs.convert import ConvertOptions, convert_lung3d
from impulse_nnunet.lungs.lung3d import read_lung3d, read_subsets
from tests.lungs import made_up
from tests.security.harmful import Harmful

SUBSETS = {"lung3d_00001": "train", "lung3d_00002": "test", "lung3d_00003": "val", "lung3d_00004": "train"}


@pytest.fixture
def source(nnunet_folders):
    return made_up.write_lung3d(nnunet_folders / "lung3d", SUBSETS)


def convert(base, kind="lbav", **more):
    folder = base / "nnUNet_raw" / "Dataset002_Lung3D"
    source = more.pop("source", base / "lung3d")
    return folder, convert_lung3d(source, folder, ConvertOptions(kind=kind, progress=False, **more))


def channels_of(folder, case, part="Tr"):
    return [made_up.read(path).astype(int) for path in sorted((folder / f"images{part}").glob(f"{case}_*"))]


def test_the_released_layout(source, nnunet_folders):
    folder, counts = convert(nnunet_folders)
    assert counts == {"train": 2, "val": 1, "test": 1}
    channels = channels_of(folder, "lung3d_00004")
    assert len(channels) == 8
    for number, mask in enumerate(channels[:5], 1):
        np.testing.assert_array_equal(mask, made_up.lobes() == number)
    for mask, name in zip(channels[5:], ("airway", "artery", "vein"), strict=True):
        np.testing.assert_array_equal(mask, made_up.tree(name))
    np.testing.assert_array_equal(made_up.read(folder / "labelsTr" / "lung3d_00004.nii.gz"), made_up.segments())
    assert [path.name for path in (folder / "labelsTs").iterdir()] == ["lung3d_00002.nii.gz"]
    assert len(channels_of(folder, "lung3d_00002", "Ts")) == 8
    content = json.loads((folder / "dataset.json").read_text())
    assert content["numTraining"] == 3
    assert content["labels"]["left S1+2"] == 11
    assert content["impulse_channels"][4:] == ["left lower lobe", "bronchus", "artery", "vein"]
    # the flat folders that evaluate reads
    trees = {path.name for path in (folder / "trees").iterdir()}
    assert trees == {"airway", "artery", "vein", "lobe", "interseg"}
    assert (folder / "trees" / "artery" / "lung3d_00002.nii.gz").is_file()


def test_the_split_becomes_fold_0(source, nnunet_folders):
    convert(nnunet_folders)
    split = json.loads((nnunet_folders / "nnUNet_preprocessed" / "Dataset002_Lung3D" / "splits_final.json").read_text())
    assert split == [{"train": ["lung3d_00001", "lung3d_00004"], "val": ["lung3d_00003"]}]


def test_lobes_alone_name_the_trees_for_the_sampling(source, nnunet_folders):
    folder, _ = convert(nnunet_folders, "l")
    assert len(channels_of(folder, "lung3d_00001")) == 5
    content = json.loads((folder / "dataset.json").read_text())
    assert content["impulse_trees"] == ["trees/airway", "trees/artery", "trees/vein"]


def test_npz_files_give_the_same_with_the_given_spacing(source, nnunet_folders):
    made_up.write_lung3d_npz(nnunet_folders / "npz", SUBSETS)
    folder, _ = convert(nnunet_folders)
    expected = {case: channels_of(folder, case) for case in ("lung3d_00001", "lung3d_00003")}
    folder, counts = convert(nnunet_folders, source=nnunet_folders / "npz", spacing_mm=(2.0, 1.5, 1.0), overwrite=True)
    assert counts == {"train": 2, "val": 1, "test": 1}
    for case, channels in expected.items():
        for first, second in zip(channels_of(folder, case), channels, strict=True):
            np.testing.assert_array_equal(first, second)
    for path in ("labelsTr/lung3d_00001", "imagesTr/lung3d_00001_0006", "trees/vein/lung3d_00001"):
        image = sitk.ReadImage(str(folder / f"{path}.nii.gz"))
        assert image.GetSpacing() == (1.0, 1.5, 2.0)
        assert image.GetSize() == (20, 8, 6)


def test_npz_files_need_a_spacing_and_nifti_files_none(source, nnunet_folders):
    made_up.write_lung3d_npz(nnunet_folders / "npz", SUBSETS)
    with pytest.raises(
        InputError, match=r"npz: found \.npz files, which have no voxel size, expected `spacing_mm` Z Y X"
    ):
        convert(nnunet_folders, source=nnunet_folders / "npz")
    with pytest.raises(InputError, match="`spacing_mm`: found NIfTI files, which have a spacing"):
        convert(nnunet_folders, spacing_mm=(1, 1, 1))
    with pytest.raises(InputError, match="three positive numbers Z Y X"):
        convert(nnunet_folders, spacing_mm=(1, 0, 1))


def test_npz_files_with_missing_keys(nnunet_folders):
    folder = made_up.write_lung3d_npz(nnunet_folders / "npz", SUBSETS)
    np.savez(folder / "lung3d_00003.npz", airway=np.zeros((2, 2, 2)), image=np.zeros((2, 2, 2)))
    with pytest.raises(
        CasesFailedError, match=r"1 of 4 .*\n.*lung3d_00003\.npz: found no key 'artery', expected the keys"
    ):
        convert(nnunet_folders, source=folder, spacing_mm=(1, 1, 1))


def test_npz_files_of_objects_are_refused_and_nothing_in_them_runs(nnunet_folders):
    folder = made_up.write_lung3d_npz(nnunet_folders / "npz", SUBSETS)
    marker, file = nnunet_folders / "marker", folder / "lung3d_00002.npz"
    with np.load(file) as content:
        arrays = dict(content)
    np.savez(file, **arrays | {"airway": np.array([Harmful(marker)], object)})
    with pytest.raises(CasesFailedError, match=r"lung3d_00002\.npz: found an unreadable file \(Object arrays cannot"):
        convert(nnunet_folders, source=folder, spacing_mm=(2.0, 1.5, 1.0))
    assert not marker.exists()
    with np.load(file, allow_pickle=True) as content:
        content["airway"]
    assert marker.exists()  # read carelessly, it does


def test_npz_files_that_are_broken_or_of_several_shapes(nnunet_folders):
    folder = made_up.write_lung3d_npz(nnunet_folders / "npz", SUBSETS)
    (folder / "lung3d_00001.npz").write_bytes(b"PK nothing")
    arrays = dict.fromkeys(("airway", "artery", "vein", "lobe"), np.ones((2, 2, 3), int))
    np.savez(folder / "lung3d_00003.npz", lungsegment=np.ones((2, 2, 2), int), **arrays)
    with pytest.raises(CasesFailedError) as error:
        convert(nnunet_folders, source=folder, spacing_mm=(1, 1, 1))
    assert "found an unreadable file" in error.value.failures["lung3d_00001"]
    assert "airway: found shape (2, 2, 3), expected (2, 2, 2)" in error.value.failures["lung3d_00003"]


def test_rows_of_absent_cases_and_cases_without_a_row(source):
    shutil.rmtree(source / "lung3d_00003")
    message = (
        r"lung3d\.csv: found 1 case\(s\) that are not in the folder \(lung3d_00003\), expected one row for each case"
    )
    with pytest.raises(InputError, match=message):
        read_lung3d(source)
    made_up.write_csv(source / "lung3d.csv", {"lung3d_00001": "train"})
    message = r"found 2 case\(s\) of the folder without a row \(lung3d_00002, lung3d_00004\)"
    with pytest.raises(InputError, match=message):
        read_lung3d(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"found the columns none, expected pid,subset"),
        ("pid,part\na,train\n", r"found the columns pid, part"),
        ("pid,subset\na,train\na,val\n", r"row 3: found a twice"),
        ("pid,subset\na,training\n", r"row 2: found 'a' and 'training', expected a case, once, and train, val, test"),
        ("pid,subset\na\n", r"row 2: found 'a' and ''"),
        ("pid,subset\na,test\n", r"found no training case"),
    ],
)
def test_bad_split_files(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_subsets(path)


def test_a_split_file_of_a_spreadsheet(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("\ufeffSubset, pid ,note\r\ntrain, b ,x\r\n\r\ntest,a,\r\n", encoding="utf-8")
    assert read_subsets(path) == {"b": "train", "a": "test"}


def test_a_folder_without_cases_or_split(tmp_path, source):
    with pytest.raises(InputError, match=r"found neither CASE/lungsegment\.nii\.gz nor CASE\.npz"):
        read_lung3d(tmp_path / "nnUNet_raw")
    with pytest.raises(InputError, match="found no such folder"):
        read_lung3d(tmp_path / "nowhere")
    (source / "lung3d.csv").rename(source / "other.csv")
    with pytest.raises(
        InputError, match=r"found no lung3d\.csv, expected one with the columns pid,subset; give `split`"
    ):
        read_lung3d(source)
    assert len(read_lung3d(source, source / "other.csv")) == 4
    (source / "other.csv").rename(source.parent / "lung3d.csv")
    assert len(read_lung3d(source)) == 4


def broken(source, name, array, case="lung3d_00001", affine=made_up.AFFINE):
    made_up.write(source / case / f"{name}.nii.gz", array, affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: broken(s, "vein", made_up.tree("vein"), affine=np.diag([1, 1, 1, 1.0])),
            r"vein\.nii\.gz: found spacing \(1, 1, 1\) mm, expected \(2, 1\.5, 1\) mm as in .*lungsegment\.nii\.gz",
        ),
        (lambda s: broken(s, "lobe", made_up.lobes()[1:]), r"lobe\.nii\.gz: found shape \(5, 8, 20\)"),
        (
            lambda s: broken(s, "lungsegment", made_up.segments() + np.uint8(1)),
            r"lungsegment\.nii\.gz: found label 19, expected 0 to 18, the pulmonary segments",
        ),
        (lambda s: broken(s, "lungsegment", 0 * made_up.segments()), "found no segment, expected labels 1 to 18"),
        (lambda s: broken(s, "artery", 0 * made_up.segments()), "lung3d_00001: found no voxel of artery"),
        (
            lambda s: broken(s, "lobe", np.uint8([0, 5, 4, 3, 2, 1])[made_up.lobes()]),
            r"72\.2 % of the segments' voxels outside their lobe .*what is called LLL lies in RUL.*`lobe_labels`",
        ),
        (
            lambda s: broken(s, "lobe", made_up.lobes() + np.uint8(3) * (made_up.lobes() == 5)),
            r"lobe\.nii\.gz: found value 8 in 96 voxels, which Lung3D's numbers of the lobes does not name",
        ),
        (lambda s: (s / "lung3d_00001" / "airway.nii.gz").unlink(), r"airway\.nii\.gz: found no such file"),
    ],
)
def test_bad_cases_are_named_and_nothing_looks_finished(source, nnunet_folders, change, message):
    change(source)
    with pytest.raises(CasesFailedError, match=r"1 of 4 cases failed:\n.*" + message):
        convert(nnunet_folders)
    assert not (nnunet_folders / "nnUNet_raw" / "Dataset002_Lung3D" / "dataset.json").exists()


def test_other_numbers_of_the_lobes(source, nnunet_folders):
    for case in SUBSETS:
        broken(source, "lobe", np.uint8([0, 5, 4, 3, 2, 1])[made_up.lobes()], case)
    folder, _ = convert(nnunet_folders, lobe_labels=("RUL=5", "RML=4", "RLL=3", "LUL=2", "LLL=1"))
    np.testing.assert_array_equal(channels_of(folder, "lung3d_00001")[0], made_up.lobes() == 1)


def test_a_second_call_keeps_what_is_done(source, nnunet_folders):
    folder, _ = convert(nnunet_folders)
    files = sorted(folder.glob("images*/*"))
    times = [file.stat().st_mtime_ns for file in files]
    convert(nnunet_folders)
    assert [file.stat().st_mtime_ns for file in files] == times
    assert (folder / "trees" / "interseg" / "lung3d_00001.nii.gz").is_file()
    (folder / "trees" / "vein" / "lung3d_00001.nii.gz").unlink()
    convert(nnunet_folders)
    assert (folder / "trees" / "vein" / "lung3d_00001.nii.gz").is_file()


def test_a_case_that_moves_to_another_subset(source, nnunet_folders):
    convert(nnunet_folders)
    made_up.write_csv(source / "lung3d.csv", SUBSETS | {"lung3d_00004": "test"})
    with pytest.raises(InputError, match=r"splits_final\.json: found another split"):
        convert(nnunet_folders)
    folder, counts = convert(nnunet_folders, overwrite=True)
    assert counts == {"train": 1, "val": 1, "test": 2}
    assert channels_of(folder, "lung3d_00004") == []
    assert not (folder / "labelsTr" / "lung3d_00004.nii.gz").exists()


@pytest.mark.parametrize("kind", ["i", "ibav", "x"])
def test_kinds_with_an_image_are_refused(kind):
    with pytest.raises(InputError, match="expected l or lbav: Lung3D has no CT"):
        ConvertOptions(kind=kind)
