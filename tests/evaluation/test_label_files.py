import gzip
from contextlib import suppress

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.label_files import LabelMap, cases_in, check_same_grid, read_label_map, to_classes
from tests.evaluation.image_files import save

LABELS = np.random.default_rng(0).integers(0, 5, (3, 4, 6)).astype(np.uint8)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
PLACE = {"spacing": (2.5, 0.7, 0.8), "origin": (-11.5, 20.25, 3.5), "direction": TURN}


def nifti(path, labels, kind=None, endianness="<"):
    header = nibabel.Nifti1Header(endianness=endianness)
    header.set_data_dtype(kind or labels.dtype)
    nibabel.save(nibabel.Nifti1Image(labels.T, np.eye(4), header), path)
    return path


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
def test_every_format_gives_the_same(tmp_path, ending):
    one = read_label_map(save(LABELS, tmp_path / f"case{ending}", **PLACE))
    np.testing.assert_array_equal(one.labels, LABELS)
    assert one.labels.flags.c_contiguous
    assert one.labels.dtype == np.uint8
    np.testing.assert_allclose(one.spacing_mm, PLACE["spacing"], rtol=1e-6)
    check_same_grid(one, read_label_map(save(LABELS, tmp_path / "reference.nrrd", **PLACE)))


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_gives_labels(tmp_path, kind, endianness):
    path = nifti(tmp_path / "case.nii.gz", LABELS, np.dtype(kind), endianness)
    found = read_label_map(path).labels
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_labels_beyond_a_byte(tmp_path, kind):
    labels = LABELS.astype(np.int32) * 16000
    found = read_label_map(nifti(tmp_path / "case.nii", labels.astype(kind))).labels
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.uint16


def test_big_endian_nrrd_and_metaimage(tmp_path):
    large = LABELS.astype(np.uint16) * 300
    nrrd = tmp_path / "case.nrrd"
    header = b"NRRD0004\ntype: ushort\ndimension: 3\nsizes: 6 4 3\nencoding: raw\nendian: big\n\n"
    nrrd.write_bytes(header + large.astype(">u2").tobytes())
    mha = tmp_path / "case.mha"
    header = (
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\nDimSize = 6 4 3\n"
        b"ElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    )
    mha.write_bytes(header + large.astype(">u2").tobytes())
    for path in (nrrd, mha):
        np.testing.assert_array_equal(read_label_map(path).labels, large)


def test_the_other_kind_of_nifti(tmp_path):
    nibabel.save(nibabel.Nifti2Image(LABELS.T, np.eye(4)), tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(read_label_map(tmp_path / "case.nii.gz").labels, LABELS)


def test_scaled_nifti(tmp_path):
    path = nifti(tmp_path / "case.nii", LABELS)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([2, 1], "<f4").tobytes()  # slope and offset
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_label_map(path).labels, 2 * LABELS + 1)


# --- files that are not label maps -----------------------------------------------------------------------------------


def refusal(path):
    with pytest.raises(InputError) as error:
        read_label_map(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_cut_off_file(tmp_path, ending):
    path = save(np.random.default_rng(0).integers(0, 5, (12, 16, 24)).astype(np.uint8), tmp_path / f"case{ending}")
    whole = path.read_bytes()
    for share in (0, 0.1, 0.3, 0.5, 0.8, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        assert "expected a" in refusal(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_damaged_file_gives_no_other_error(tmp_path, ending):
    path = save(LABELS, tmp_path / f"case{ending}")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with suppress(InputError):  # some bytes do not matter
            read_label_map(path)


def test_something_else(tmp_path):
    path = tmp_path / "case.nii.gz"
    assert "no such file" in refusal(path)
    path.write_bytes(gzip.compress(b"not an image" * 99))
    assert "geometry cannot be read" in refusal(path)
    path.write_bytes(b"not even compressed")
    assert "geometry cannot be read" in refusal(path)


def test_other_dimensions(tmp_path):
    for shape in ((4, 5), (4, 5, 6, 2), (4, 5, 6, 1)):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "case.nii.gz")
        assert f"found {len(shape)} dimensions, expected a 3D image" in refusal(tmp_path / "case.nii.gz")
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, 3), str(tmp_path / "case.nrrd"))
    assert "found 4 dimensions, expected a 3D label map" in refusal(tmp_path / "case.nrrd")


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.array([0.0, 1.5]), "found values between the integers, expected labels"),
        (np.array([0.0, np.nan]), "found NaN or infinite voxels, expected labels"),
        (np.array([0.0, np.inf]), "found NaN or infinite voxels, expected labels"),
        (np.array([0, -1], np.int16), "found values from -1 to 0, expected labels from 0 to 65535"),
        (np.array([0, 65536], np.int32), "found values from 0 to 65536, expected labels from 0 to 65535"),
        (np.array([0, 1], np.complex64), "found voxels of type complex64, expected labels"),
        (np.zeros(2, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "found voxels of type .*R.*, expected labels"),
    ],
)
def test_values_that_are_no_labels(tmp_path, voxels, message):
    path = tmp_path / "case.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels.reshape(1, 1, 2), np.eye(4)), path)
    with pytest.raises(InputError, match=message):
        read_label_map(path)


# --- grids -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def reference(tmp_path):
    return read_label_map(save(LABELS, tmp_path / "reference.nii.gz", **PLACE))


def moved(tmp_path, labels=LABELS, **changes):
    return read_label_map(save(labels, tmp_path / "prediction.nii.gz", **(PLACE | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"spacing": (2.5002, 0.7, 0.8)},
        {"origin": (-11.53, 20.28, 3.5)},
        {"direction": TURN @ np.array([[1, -1e-4, 0], [1e-4, 1, 0], [0, 0, 1]])},
    ],
)
def test_rounding_is_no_other_grid(tmp_path, reference, changes):
    check_same_grid(moved(tmp_path, **changes), reference)


@pytest.mark.parametrize(
    ("changes", "found", "expected"),
    [
        ({"labels": LABELS[:2]}, r"shape \(2, 4, 6\)", r"\(3, 4, 6\)"),
        ({"spacing": (2.5, 0.8, 0.7)}, r"spacing \(2.5, 0.8, 0.7\) mm", r"\(2.5, 0.7, 0.8\) mm"),
        (
            {"origin": (-11.5, 20.25, 103.54)}, r"origin \(-11.5, 20.25, 103.54\) mm",
            r"origin \(-11.5, 20.25, 3.5\) mm",
        ),
        (
            {"direction": np.eye(3)}, r"direction \(1, 0, 0, 0, 1, 0, 0, 0, 1\)",
            r"direction \(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1\)",
        ),
        # a flipped image covers the same box from its other corner
        ({"direction": TURN @ np.diag([-1, -1, 1]), "origin": (1, 2, 3)}, "direction", "direction"),
    ],
)  # fmt: skip
def test_another_grid_is_named(tmp_path, reference, changes, found, expected):
    other = moved(tmp_path, **changes)
    message = f"prediction.nii.gz: found {found}.*, expected {expected}.* as the reference has; resample it to the grid"
    with pytest.raises(InputError, match=message):
        check_same_grid(other, reference)


def test_what_differs_can_be_seen_in_the_message(tmp_path):
    # a tenth of a millimetre off, far from the world's origin
    one, other = (
        read_label_map(save(LABELS, tmp_path / f"{x}.nii", origin=(x, 0, 0), spacing=(1, 0.7, 0.7)))
        for x in (-1152.42, -1152.34)
    )
    with pytest.raises(InputError, match=r"found origin \(-1152.34, 0, 0\) mm, expected origin \(-1152.42, 0, 0\) mm"):
        check_same_grid(other, one)


def test_a_spacing_that_drifts_apart_over_the_image(tmp_path):
    # 6 in 10000 is less than the 1 in 1000 that rounding may do, but 300 voxels later it is 0.18 voxels
    long = np.zeros((1, 1, 300), np.uint8)
    one, other = (
        read_label_map(save(long, tmp_path / f"{s}.nii", spacing=(1, 1, s), direction=np.eye(3))) for s in (1, 1.0006)
    )
    with pytest.raises(InputError, match=r"found spacing \(1, 1, 1.0006\) mm, .*expected spacing \(1, 1, 1\) mm"):
        check_same_grid(other, one)


# --- labels to classes -----------------------------------------------------------------------------------------------


def in_memory(reference, labels):
    return LabelMap(np.asarray(labels).reshape(1, 1, -1), reference.grid, reference.path)


def test_classes(reference):
    assert to_classes(in_memory(reference, np.array([0, 7, 3, 3], np.uint8)), [3, 7]).ravel().tolist() == [0, 2, 1, 1]
    assert to_classes(in_memory(reference, np.array([2, 0, 1], np.uint8)), [1, 2, 3]).ravel().tolist() == [2, 0, 1]
    large = to_classes(in_memory(reference, np.array([0, 65535, 500], np.uint16)), [500, 65535])
    assert (large.ravel().tolist(), large.dtype) == ([0, 2, 1], np.uint8)
    many = to_classes(in_memory(reference, np.array([0, 1300, 1001], np.uint16)), list(range(1001, 1301)))
    assert (many.ravel().tolist(), many.dtype) == ([0, 300, 1], np.uint16)


def test_unknown_labels_are_named(reference):
    labels = in_memory(reference, np.array([0, 1, 9, 8, 4], np.uint8))
    with pytest.raises(InputError, match=r"reference.nii.gz: found label\(s\) 8, 9, expected only 0, 1, 4; "):
        to_classes(labels, [1, 4])


# --- folders ---------------------------------------------------------------------------------------------------------


def test_cases_of_a_folder(tmp_path):
    for name in ("b.nii.gz", "a.b.nrrd", "c.mha", "summary.json", ".hidden.nii.gz", "dataset.json", "d.npz"):
        (tmp_path / name).touch()
    (tmp_path / "folder.nii.gz").mkdir()
    assert cases_in(tmp_path) == {"a.b": tmp_path / "a.b.nrrd", "b": tmp_path / "b.nii.gz", "c": tmp_path / "c.mha"}
    assert cases_in(tmp_path, ".nii.gz") == {"b": tmp_path / "b.nii.gz"}


def test_folders_that_will_not_do(tmp_path):
    with pytest.raises(InputError, match="nowhere: found no such folder, expected a folder of label maps"):
        cases_in(tmp_path / "nowhere")
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "a.nrrd").touch()
    with pytest.raises(InputError, match=r"a.nrrd: found a second file of case a, beside a.nii.gz, expected one"):
        cases_in(tmp_path)
