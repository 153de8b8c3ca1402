import gzip

import nibabel
import numpy as np
import pytest
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.images import read_case
from tests.support import write_nifti

SHAPE = (4, 5, 6)
LABELS = [0, 1, 2]


def image(shape=SHAPE):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def segmentation(value=1):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2, 3] = value
    return labels


@pytest.fixture
def case(tmp_path):
    """Writes a case of two channels; returns a function that reads it again with some files replaced."""
    files = [write_nifti(tmp_path / f"case_7_000{c}.nii.gz", image()) for c in range(2)]
    label = write_nifti(tmp_path / "case_7.nii.gz", segmentation())

    def read(images=files, label=label, channels=2):
        return read_case(NibabelIOWithReorient(), "case_7", images, channels, label, LABELS)

    read.folder, read.files = tmp_path, files
    return read


def test_a_good_case_comes_as_it_is(case):
    raw = case()
    assert raw.images.shape == (2, *SHAPE)
    assert raw.images.dtype == np.float32
    # SimpleITK wrote x to the left and y to the back (LPS); the reader turns to RAS, which flips both
    np.testing.assert_allclose(raw.images[0], image()[:, ::-1, ::-1])
    np.testing.assert_array_equal(raw.segmentation[0], segmentation()[:, ::-1, ::-1])
    assert list(raw.properties["spacing"]) == [1, 1, 1]


def test_spacing_is_in_d_h_w_order(tmp_path):
    file = write_nifti(tmp_path / "a_0000.nii.gz", image(), (1.0, 2.0, 3.0))
    assert read_case(NibabelIOWithReorient(), "a", [file], 1).properties["spacing"] == [3, 2, 1]


def test_missing_channel(case):
    message = (
        r"^case_7: found 1 channel\(s\) \(case_7_0000.nii.gz\), expected 2 as dataset.json names; add the missing file"
    )
    with pytest.raises(InputError, match=message):
        case(case.files[:1])


def test_no_channel_at_all(case):
    with pytest.raises(InputError, match=r"^case_7: found 0 channel\(s\) \(no file\), expected 2"):
        case([])


def bad_image(folder):
    """Ways in which the second channel can be wrong: name -> (writer, message)."""
    path = folder / "bad_0001.nii.gz"
    hole, infinite = image(), image()
    hole[1, 2, 3] = np.nan
    infinite[0, 0, 0:2] = np.inf

    def cut_off():
        write_nifti(path, image((20, 20, 20)))
        path.write_bytes(path.read_bytes()[:-4000])

    def header_alone():
        write_nifti(path, image((20, 20, 20)))
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:1000]))

    def four_dimensions():
        nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4, 2), np.float32), np.eye(4)), path)

    whole = r"expected a whole 3D image that NibabelIOWithReorient reads; replace the file or leave the case out"
    return path, {
        "shape": (
            lambda: write_nifti(path, image((4, 5, 7))),
            r"found shape \(4, 5, 7\), expected \(4, 5, 6\) as in case_7_0000.nii.gz; correct the header or resample",
        ),
        "spacing": (
            lambda: write_nifti(path, image(), (1.0, 1.0, 2.0)),
            r"found spacing \(2, 1, 1\) mm, expected \(1, 1, 1\) mm as in case_7_0000.nii.gz; correct the header",
        ),
        "nan": (
            lambda: write_nifti(path, hole),
            r"found 1 NaN or infinite voxel\(s\), expected finite values; repair the image or leave it out",
        ),
        "infinity": (
            lambda: write_nifti(path, infinite),
            r"found 2 NaN or infinite voxel\(s\), expected finite values",
        ),
        "text": (lambda: path.write_text("no image"), rf"found an unreadable file \(.+\), {whole}"),
        "empty": (lambda: path.write_bytes(b""), rf"found an unreadable file \(.+\), {whole}"),
        "cut off": (cut_off, rf"found an unreadable file \(.+\), {whole}"),
        "header alone": (header_alone, rf"found an unreadable file \(.+\), {whole}"),
        "4D": (four_dimensions, rf"found an unreadable file \(only 3d images .+\), {whole}"),
        "missing": (lambda: None, r"found no such file, expected an image; add the file or leave the case out"),
    }


@pytest.mark.parametrize(
    "kind", ["shape", "spacing", "nan", "infinity", "text", "empty", "cut off", "header alone", "4D", "missing"]
)
def test_a_bad_image_is_named(case, kind):
    path, ways = bad_image(case.folder)
    write, message = ways[kind]
    write()
    with pytest.raises(InputError, match=message) as error:
        case([case.files[0], str(path)])
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


BAD_LABELS = [
    (segmentation(7), (1, 1, 1), r"found label\(s\) 7, expected those of dataset.json \(0, 1, 2\); correct the label"),
    (
        segmentation().astype(np.float32) * 1.5,
        (1, 1, 1),
        "found values between the integers, expected labels",
    ),
    (segmentation()[:, :, :5], (1, 1, 1), r"found shape \(4, 5, 5\), expected \(4, 5, 6\) as in its image; correct"),
    (segmentation(), (1, 3, 1), r"found spacing \(1, 3, 1\) mm, expected \(1, 1, 1\) mm as in its"),
]


@pytest.mark.parametrize(("labels", "spacing", "message"), BAD_LABELS)
def test_a_bad_label_map_is_named(case, labels, spacing, message):
    path = write_nifti(case.folder / "bad.nii.gz", labels, [float(s) for s in spacing])
    with pytest.raises(InputError, match=message) as error:
        case(label=path)
    assert str(error.value).startswith(f"{path}: ")


def test_no_foreground(case):
    path = write_nifti(case.folder / "bad.nii.gz", segmentation(0))
    message = "^case_7: found no foreground in its segmentation, expected at least one labelled voxel; label the case"
    with pytest.raises(InputError, match=message):
        case(label=path)


def test_a_single_slice(tmp_path):
    file = write_nifti(tmp_path / "a_0000.nii.gz", image((1, 5, 6)))
    message = r"^a: found an image of shape \(1, 5, 6\), expected at least 2 voxels along each of 3 axes; this network"
    with pytest.raises(InputError, match=message):
        read_case(NibabelIOWithReorient(), "a", [file], 1)


def test_spacings_that_differ_by_rounding_are_the_same(case):
    path = write_nifti(case.folder / "close_0001.nii.gz", image(), (1.0, 1.0, 1.0005))  # within one in a thousand
    assert case([case.files[0], path]).images.shape == (2, *SHAPE)


def test_a_label_map_in_another_orientation_than_its_image_is_refused(tmp_path):
    image, label = tmp_path / "a_0000.nii.gz", tmp_path / "a.nii.gz"
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = 1
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 1, 1])), image)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 1, 1, 1])), label)  # same voxels, left and right exchanged
    # its voxels reach from 0 to -3 mm where the image's reach from 0 to 3
    message = r"a\.nii\.gz: found origin \(.*\) mm \(voxels up to 3 mm off\), expected origin \(.*\) mm as in its image"
    with pytest.raises(InputError, match=message):
        read_case(NibabelIOWithReorient(), "a", [str(image)], 1, str(label), [0, 1])


def test_a_channel_that_is_missing_among_the_right_number_of_files(tmp_path):
    for number in (0, 2):
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.float32), np.eye(4)), tmp_path / f"a_000{number}.nii.gz")
    files = [str(tmp_path / "a_0000.nii.gz"), str(tmp_path / "a_0002.nii.gz")]
    with pytest.raises(InputError, match="a: found channels 0000, 0002, expected 0000 to 0001; add the missing file"):
        read_case(NibabelIOWithReorient(), "a", files, 2)
