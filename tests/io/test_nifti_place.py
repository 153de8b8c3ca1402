import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.assumption import ASSUME_VARIABLE, assuming_orientation, may_assume_orientation
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.io.images import read_case
from impulse_nnunet.io.label_maps import read_label_map, write_label_map
from impulse_nnunet.io.nnunet import read_array, write_segmentation
from tests.io.headers import change_header

SHAPE = (4, 5, 6)  # x, y, z
SPACING = (1.5, 1.5, 8.0)
MICROMETRE, METRE = 3, 1  # NIfTI's codes
ENDINGS = [".nii", ".nii.gz"]
READERS = [NibabelIOWithReorient, NibabelIO, SimpleITKIO]


def written(path, affine=None, codes=(1, 1), values=None):
    affine = np.diag([*SPACING, 1.0]) if affine is None else affine
    values = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) if values is None else values
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    nibabel.save(image, path)
    return path


def read_as_case(path, reader=NibabelIOWithReorient):
    return read_case(reader(), "a", [str(path)], 1)


WAYS = [read_file_grid, read_as_case, read_label_map]
NO_ORIENTATION = (
    r"a\.nii(\.gz)?: found qform_code 0 and sform_code 0, so no orientation, expected one of the two forms; "
    r"correct the header, or add `assume_orientation` \(LAS\)$"
)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("way", WAYS)
def test_a_header_without_orientation_is_refused_by_all_alike(tmp_path, way, ending):
    file = written(tmp_path / f"a{ending}", codes=(0, 0))
    with pytest.raises(InputError, match=NO_ORIENTATION):
        way(file)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("codes", "x"), [((1, 0), 0.0), ((1, 0), -1.5), ((0, 1), 0.0), ((1, 1), 0.0)])
def test_a_spacing_that_libraries_would_replace_each_in_its_way_is_refused(tmp_path, caplog, codes, x, way, ending):
    file = written(tmp_path / f"a{ending}", codes=codes)
    change_header(file, pixdim=(x, *SPACING[1:]))
    with pytest.raises(
        InputError, match=rf"a\.nii(\.gz)?: found spacing \(8, 1\.5, {x:g}\) mm, expected three positive"
    ):
        way(file)


@pytest.mark.parametrize("way", WAYS)
def test_a_sign_in_pixdim_counts_for_nothing_beside_an_sform(tmp_path, caplog, way):
    file = written(tmp_path / "a.nii.gz", codes=(0, 1))
    change_header(file, pixdim=(-1.5, *SPACING[1:]))
    way(file)


@pytest.mark.parametrize("way", WAYS)
def test_and_taken_where_the_user_says_so(tmp_path, way):
    file = written(tmp_path / "a.nii.gz", codes=(0, 0))
    with assuming_orientation(True):
        way(file)
    assert not may_assume_orientation()


def test_the_assumption_is_nibabels_and_noted(tmp_path, monkeypatch):
    monkeypatch.setenv(ASSUME_VARIABLE, "1")
    file = written(tmp_path / "a.nii.gz", codes=(0, 0))
    # x runs to the left from (4 - 1) / 2 * 1.5 = 2.25 mm on the right, so from -2.25 mm in LPS
    grid = read_file_grid(file)
    assert grid.orientation == "LAS"
    np.testing.assert_allclose(grid.origin, [-2.25, 3, -20])
    assert read_as_case(file).assumed_orientation
    assert not read_as_case(written(tmp_path / "b.nii.gz")).assumed_orientation


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (2, 3), (4, 4)])
def test_what_is_written_carries_the_images_codes_and_lies_on_it_for_itk(tmp_path, monkeypatch, reader, codes, ending):
    monkeypatch.setenv(ASSUME_VARIABLE, "1")
    affine = np.array([[0, -1.5, 0, 7], [-1.5, 0, 0, -3], [0, 0, 8, 5], [0, 0, 0, 1.0]])
    values = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)
    file = written(tmp_path / f"a{ending}", affine, codes, values)
    array, properties = read_array(reader(), str(file))
    write_segmentation(reader(), array[0].astype(np.uint8), tmp_path / f"b{ending}", properties)
    write_label_map(read_label_map(file).labels, file, tmp_path / f"c{ending}")
    for name in "bc":
        again = nibabel.load(tmp_path / f"{name}{ending}")
        assert (int(again.header["qform_code"]), int(again.header["sform_code"])) == codes
        np.testing.assert_array_equal(np.asarray(again.dataobj), values)
        assert (b"assumed" in again.header["descrip"].tobytes()) == (codes == (0, 0))
        ours, image = sitk.ReadImage(str(tmp_path / f"{name}{ending}")), sitk.ReadImage(str(file))
        for index in ((0, 0, 0), (3, 4, 5)):
            assert ours.TransformIndexToPhysicalPoint(index) == image.TransformIndexToPhysicalPoint(index)


@pytest.mark.parametrize("reader", [NibabelIOWithReorient, NibabelIO])
def test_an_sform_without_its_scale_gives_way_to_qform_and_pixdim(tmp_path, reader):
    affine = np.diag([-1.5, -1.5, 8.0, 1.0])
    file = change_header(written(tmp_path / "a.nii.gz", affine), srow=np.diag([-1.0, -1, 1, 1]))
    assert nibabel.load(file).affine[2, 2] == 1  # nibabel, and nnU-Net's reader with it, goes by the sform
    assert read_file_grid(file).spacing_mm.tolist() == list(SPACING)
    array, properties = read_array(reader(), str(file))
    assert properties["spacing"] == [8, 1.5, 1.5]
    np.testing.assert_allclose(properties["nibabel_stuff"]["original_affine"], affine)
    np.testing.assert_array_equal(array, reader().read_images((str(file),))[0])
    assert sitk.ReadImage(str(file)).GetSpacing() == SPACING  # as ITK has it


DISAGREEMENTS = {
    "spacing without a qform": (
        {"codes": (0, 1)},
        {"srow": np.diag([1.0, 1, 1, 1])},
        r"an sform with a spacing of \(1, 1, 1\) mm beside \(1\.5, 1\.5, 8\) mm in pixdim, expected the same in both",
    ),
    "spacing by 0.2 %": (
        {},
        {"srow": np.diag([1.503, 1.5, 8, 1])},
        r"an sform with a spacing of \(1\.503, 1\.5, 8\) mm beside \(1\.5, 1\.5, 8\) mm in pixdim",
    ),
    "scale lost, and turned": (
        {},
        {"srow": np.diag([-1.0, 1, 1, 1])},
        r"an sform with a spacing of \(1, 1, 1\) mm beside \(1\.5, 1\.5, 8\) mm in pixdim",
    ),
    # a flip about the first voxel: the far one lies 2 * 3 * 1.5 mm off
    "a flip": ({}, {"srow": np.diag([-1.5, 1.5, 8, 1])}, r"a qform and an sform whose voxels lie up to 9 mm apart"),
    "a shift": (
        {},
        {"srow": [[1.5, 0, 0, 0.8], [0, 1.5, 0, 0], [0, 0, 8, 0]]},  # half a voxel is 0.75 mm
        r"a qform and an sform whose voxels lie up to 0\.8 mm apart, expected one place",
    ),
}


@pytest.mark.parametrize("kind", DISAGREEMENTS)
@pytest.mark.parametrize("way", WAYS)
def test_other_disagreements_are_refused_by_name(tmp_path, way, kind):
    how, change, message = DISAGREEMENTS[kind]
    file = change_header(written(tmp_path / "a.nii.gz", **how), **change)
    with pytest.raises(InputError, match=rf"a\.nii\.gz: found {message}"):
        way(file)


def test_less_than_that_is_rounding(tmp_path):
    file = written(tmp_path / "a.nii.gz")
    change_header(file, srow=[[1.501, 0, 0, 0.7], [0, 1.5, 0, 0], [0, 0, 8, 0]])
    np.testing.assert_allclose(read_file_grid(file).origin, [-0.7, 0, 0], atol=1e-6)  # the sform is the finer one


def test_a_qform_may_lack_the_shear_that_it_cannot_hold(tmp_path):
    affine = np.diag([0.7, 0.7, 0.7, 1.0])
    affine[0, 2] = 0.7 * 2e-3
    image = nibabel.Nifti1Image(np.zeros((600, 2, 600), np.uint8), affine)
    image.set_qform(affine, 1)  # nibabel takes the shear out
    nibabel.save(image, tmp_path / "a.nii.gz")
    far = image.affine @ (599, 1, 599, 1) - image.get_qform() @ (599, 1, 599, 1)
    assert np.linalg.norm(far) > 0.35  # more than half a voxel
    np.testing.assert_allclose(read_file_grid(tmp_path / "a.nii.gz").ras_affine, affine, atol=1e-6)


@pytest.mark.parametrize(("units", "factor"), [(MICROMETRE, 0.001), (METRE, 1000.0), (2, 1.0), (0, 1.0)])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0)])
def test_units_are_those_of_itk(tmp_path, reader, units, factor, codes):
    affine = np.diag([-1500.0, 1500, 2000, 1])
    affine[:3, 3] = (10000, 20000, 30000)
    file = change_header(written(tmp_path / "a.nii.gz", affine, codes), units=units)
    image = sitk.ReadImage(str(file))
    assert image.GetSpacing() == pytest.approx((1500 * factor, 1500 * factor, 2000 * factor))
    grid = read_file_grid(file)
    np.testing.assert_allclose(grid.spacing_mm, image.GetSpacing())
    expected = image.TransformIndexToPhysicalPoint((1, 2, 3))
    np.testing.assert_allclose((grid.to_world @ (3, 2, 1, 1))[:3], expected, rtol=1e-6)
    case = read_as_case(file, reader)
    np.testing.assert_allclose(case.properties["spacing"], image.GetSpacing()[::-1])
    write_segmentation(reader(), np.zeros(case.images.shape[1:], np.uint8), tmp_path / "b.nii.gz", case.properties)
    again = sitk.ReadImage(str(tmp_path / "b.nii.gz"))
    assert (again.GetSpacing(), again.GetOrigin()) == (image.GetSpacing(), image.GetOrigin())


def test_files_in_two_units_lie_on_one_grid(tmp_path):
    one = written(tmp_path / "a_0000.nii.gz", np.diag([1.5, 1.5, 2, 1]))
    affine = np.diag([1500.0, 1500, 2000, 1])
    other = change_header(written(tmp_path / "a_0001.nii.gz", affine), units=MICROMETRE)
    assert read_case(NibabelIOWithReorient(), "a", [str(one), str(other)], 2).properties["spacing"] == [2, 1.5, 1.5]


def test_the_other_kind_of_nifti(tmp_path):
    affine = np.diag([-1.5, 1.5, 8, 1])
    file = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti2Image(np.ones(SHAPE, np.uint8), affine), file)
    write_label_map(read_label_map(file).labels, file, tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(nibabel.load(tmp_path / "b.nii.gz").affine, affine)
    assert read_as_case(file).properties["spacing"] == [8, 1.5, 1.5]
