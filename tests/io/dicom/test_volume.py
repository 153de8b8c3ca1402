import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import JPEGLSLossless, RLELossless
from scipy.spatial.transform import Rotation

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.series import series_in
from impulse_nnunet.io.dicom.volume import read_volume
from impulse_nnunet.io.input_cases import convert
from tests.io.dicom.made import PATIENT, PATIENT_ID, scan

OBLIQUE = Rotation.from_euler("zyx", [20, -35, 50], degrees=True).as_matrix()
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "feet first, face down": (-1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "oblique": tuple(OBLIQUE[:, 0]) + tuple(OBLIQUE[:, 1]),
}


def read(folder):
    (series,) = series_in(folder)
    return read_volume(series)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_each_voxel_has_its_value_at_its_place(tmp_path, orientation):
    made = scan((4, 5, 6), orientation=orientation)
    made.write(tmp_path)
    volume, grid = read(tmp_path)
    assert volume.dtype == np.int16
    assert grid.shape == (4, 5, 6)
    indices = np.argwhere(np.ones(grid.shape))
    places = np.c_[indices, np.ones(len(indices))] @ grid.to_world.T
    # back from the place by PS3.3 C.7.6.2.1.1: columns along the row's cosines, rows along the column's
    d, h, w = made.spacing_mm
    there = (places[:, :3] - made.origin) @ made.axes / [w, h, d]
    np.testing.assert_allclose(there, np.rint(there), atol=1e-4)
    column, row, slice_ = np.rint(there).astype(int).T
    np.testing.assert_array_equal(volume[tuple(indices.T)], made.voxels[slice_, row, column].astype(int) - 1024)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_the_image_lies_where_itk_reads_the_series(tmp_path, orientation, ending):
    scan((5, 7, 9), orientation=orientation).write(tmp_path / "dicom")
    (series,) = series_in(tmp_path / "dicom")
    made, failures = convert({series.name: series}, tmp_path, ending)
    assert failures == {}
    image = sitk.ReadImage(str(made[series.name]))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom")))
    theirs = reader.Execute()
    assert image.GetSize() == theirs.GetSize()
    for index in np.ndindex(*image.GetSize()):
        there = theirs.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint([int(i) for i in index]))
        assert image.GetPixel([int(i) for i in index]) == theirs.GetPixel(there)
    corner = [int(n - 1) for n in image.GetSize()]
    place = theirs.TransformIndexToPhysicalPoint(
        theirs.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(corner))
    )
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(corner), place, atol=1e-3)


def test_slope_and_intercept_are_those_of_each_slice(tmp_path):
    made = scan((4, 5, 6))
    made.of_slice = {k: {"RescaleSlope": str(1 + k), "RescaleIntercept": str(-1000 - 10 * k)} for k in range(4)}
    made.write(tmp_path)
    volume, _ = read(tmp_path)
    for k in range(4):
        np.testing.assert_array_equal(volume[k], made.voxels[k].astype(int) * (1 + k) - 1000 - 10 * k)


def test_fractions_are_kept(tmp_path):
    made = scan((4, 5, 6), tags={"RescaleSlope": "0.25"})
    made.write(tmp_path)
    volume, _ = read(tmp_path)
    assert volume.dtype == np.float32
    np.testing.assert_array_equal(volume, made.voxels * np.float32(0.25) - 1024)


def test_numbers_beyond_16_bits_are_kept(tmp_path):
    made = scan((4, 5, 6), of_slice={2: {"RescaleSlope": "20"}})
    made.voxels[2, 0, 0] = 3000
    made.write(tmp_path)
    assert read(tmp_path)[0][2, 0, 0] == 3000 * 20 - 1024


@pytest.mark.parametrize(
    ("stored", "tags", "padded"),
    [
        (np.int16, {"PixelPaddingValue": -2000}, [-2000]),  # as GE writes: -3024 HU
        (np.int16, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990}, [-2000, -1995, -1990]),
        (np.uint16, {"PixelPaddingValue": 60000}, [60000]),
    ],
)
def test_padding_becomes_air(tmp_path, stored, tags, padded):
    made = scan((4, 5, 6), tags=tags)
    made.voxels = made.voxels.astype(stored)
    expected = made.voxels.astype(int) - 1024
    for number, value in enumerate(padded):
        made.voxels[1, 2, number], expected[1, 2, number] = value, -1024
    made.write(tmp_path)
    np.testing.assert_array_equal(read(tmp_path)[0], expected)


def test_padding_that_tissue_may_have_is_left_and_named(tmp_path, caplog):
    made = scan((4, 5, 6), tags={"PixelPaddingValue": 1024})  # 0 HU: water
    made.voxels[1, 2, 3] = 1024
    made.write(tmp_path)
    with caplog.at_level("WARNING", "impulse_nnunet"):
        volume, _ = read(tmp_path)
    assert volume[1, 2, 3] == 0
    assert "its padding has a value that tissue has" in caplog.text


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=["RLE", "JPEG-LS"])
def test_compressed_slices(tmp_path, syntax):
    made = scan((4, 16, 16))
    made.write(tmp_path, compress=syntax)
    np.testing.assert_array_equal(read(tmp_path)[0], made.voxels.astype(int) - 1024)


def test_jpeg_lossless_and_jpeg_2000_as_itk_writes_them(tmp_path):
    for kind in ("JPEG", "JPEG2000"):
        made = scan((4, 16, 16))
        made.write(tmp_path / kind)
        for file in sorted((tmp_path / kind).iterdir()):
            image = sitk.ReadImage(str(file), sitk.sitkInt16, imageIO="GDCMImageIO")
            writer = sitk.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetImageIO("GDCMImageIO")
            writer.SetUseCompression(True)
            writer.SetCompressor(kind)
            writer.SetFileName(str(file))
            writer.Execute(image)
        np.testing.assert_array_equal(read(tmp_path / kind)[0], made.voxels.astype(int) - 1024)


def test_loss_of_compression_is_named(tmp_path, caplog):
    scan(tags={"LossyImageCompression": "01"}).write(tmp_path)
    with caplog.at_level("WARNING", "impulse_nnunet"):
        read(tmp_path)
    assert "compressed with loss" in caplog.text


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"RescaleSlope": None}, "found a slice without rescale slope and intercept, expected Hounsfield units"),
        ({"RescaleType": "MGML"}, "found values in MGML, expected Hounsfield units"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "found MONOCHROME1 pixels, expected MONOCHROME2"),
    ],
)
def test_values_that_are_no_hounsfield_units(tmp_path, tags, message):
    scan(tags=tags).write(tmp_path)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_truncated_slice_is_refused_without_its_name(tmp_path):
    files = scan().write(tmp_path, "MUELLER_{}.dcm")
    content = files[-1].read_bytes()
    files[-1].write_bytes(content[:-40])
    with pytest.raises(InputError, match=r"1 unreadable file.s. beside|pixels cannot be read") as refused:
        read(tmp_path)
    assert "MUELLER" not in str(refused.value)


def test_nothing_of_the_patient_is_in_the_image_or_its_name(tmp_path):
    scan().write(tmp_path / PATIENT, f"{PATIENT}_{{}}.dcm")
    (series,) = series_in(tmp_path)
    for ending in (".nii", ".nrrd", ".mha"):
        made, _ = convert({series.name: series}, tmp_path / "images", ending)
        content = made[series.name].read_bytes()
        for text in (PATIENT, PATIENT_ID, "MUELLER", series.uid):
            assert text.encode() not in content
            assert text not in made[series.name].name
    header = nibabel.load(tmp_path / "images" / f"{series.name}_0000.nii").header
    assert header["descrip"].item() == header["aux_file"].item() == header["db_name"].item() == b""
