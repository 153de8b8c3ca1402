import json
import os
import re

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.phantom.check import check_cohort, summarise
from impulse_nnunet.phantom.cohort import COHORT_FILE, is_whole, make_cohort
from impulse_nnunet.phantom.layout import FIRST_TEST_NUMBER, bav_labels, find_layout, read_array
from impulse_nnunet.phantom.settings import PhantomSettings

TINY = PhantomSettings(size=(24, 32, 36))


def layout_in(folder):
    return find_layout(str(folder), 801, 802, "PhantomSegments", "PhantomBAV")


def times_of(layout):
    folders = (layout.segments / "imagesTr", layout.segments / "imagesTs")
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("*")}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    layout = layout_in(tmp_path_factory.mktemp("raw"))
    assert make_cohort(layout, TINY, 2, 1, progress=False) == [1, 2, FIRST_TEST_NUMBER]
    return layout


def test_nnunets_folders(cohort):
    assert cohort.segments.name == "Dataset801_PhantomSegments"
    assert cohort.bav.name == "Dataset802_PhantomBAV"
    for folder in (cohort.segments, cohort.bav):
        assert sorted(p.name for p in (folder / "imagesTr").iterdir()) == [
            "phantom_00001_0000.nii.gz",
            "phantom_00002_0000.nii.gz",
        ]
        assert [p.name for p in (folder / "imagesTs").iterdir()] == ["phantom_90001_0000.nii.gz"]
        assert [p.name for p in (folder / "labelsTs").iterdir()] == ["phantom_90001.nii.gz"]


def test_dataset_json(cohort):
    found = json.loads((cohort.segments / "dataset.json").read_text())
    assert found["channel_names"] == {"0": "CT"}
    assert found["numTraining"] == 2
    assert found["labels"]["background"] == 0
    assert found["labels"]["right S10"] == 10
    assert found["labels"]["left S1+2"] == 11
    assert found["lobes"]["left lower lobe"] == [15, 16, 17, 18]
    bav = json.loads((cohort.bav / "dataset.json").read_text())
    assert bav["labels"] == {"background": 0, "bronchus": 1, "artery": 2, "vein": 3}


def test_lung3ds_folders(cohort):
    rows = (cohort.segments / "lung3d" / "lung3d.csv").read_text().split()
    assert rows == ["pid,subset", "lung3d_00001,train", "lung3d_00002,train", "lung3d_90001,test"]
    files = {path.name for path in (cohort.segments / "lung3d" / "lung3d_00001").iterdir()}
    names = {"airway", "artery", "vein", "interseg", "lobe", "lungsegment"}
    assert files == {f"{n}.nii.gz" for n in names | {"airway_labels", "artery_labels", "vein_labels"}}


def test_files_with_two_names_are_kept_once(cohort):
    pairs = (
        (cohort.image(1), cohort.image(1, cohort.bav)),
        (cohort.labels(1), cohort.lung3d(1) / "lungsegment.nii.gz"),
        (cohort.tree("airway", 1), cohort.lung3d(1) / "airway.nii.gz"),
    )
    assert all(os.path.samefile(first, second) for first, second in pairs)


def test_a_reader_sees_the_right_lung_on_the_patients_right(cohort):
    image = nibabel.load(cohort.labels(1))
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    labels = np.asarray(image.dataobj)
    centre = {label: image.affine @ [*np.argwhere(labels == label).mean(0), 1] for label in (1, 4, 10, 18)}
    # RAS+: x grows to the patient's left in LPS, to the right in RAS; y to the front; z to the head
    assert centre[10][0] > centre[18][0]
    assert centre[4][1] > centre[10][1]
    assert centre[1][2] > centre[10][2]
    assert np.allclose(sitk.ReadImage(str(cohort.labels(1))).GetDirection(), np.eye(3).reshape(-1))
    assert nibabel.load(cohort.image(1)).get_data_dtype() == np.int16


def test_files_are_read_back_as_they_were_made(cohort):
    image, spacing = read_array(cohort.image(1))
    facts = json.loads(cohort.record(1).read_text())["facts"]
    assert image.shape == TINY.size
    assert np.allclose(spacing, facts["spacing_mm"])


def test_bronchi_hide_arteries_and_arteries_hide_veins():
    labels = {
        name: np.array(values, np.uint8)
        for name, values in {"airway": [1, 1, 0, 0, 0], "artery": [1, 0, 1, 1, 0], "vein": [1, 0, 0, 1, 1]}.items()
    }
    assert bav_labels(labels).tolist() == [1, 1, 2, 2, 3]


def test_what_is_there_is_kept_and_what_is_broken_is_made_again(cohort):
    before = times_of(cohort)
    assert make_cohort(cohort, TINY, 2, 1, progress=False) == []
    assert times_of(cohort) == before
    cohort.tree("vein", 2).unlink()
    assert not is_whole(2, cohort, TINY)
    assert make_cohort(cohort, TINY, 2, 1, progress=False) == [2]
    assert is_whole(2, cohort, TINY)
    after = times_of(cohort)
    assert {path for path in before if before[path] != after[path]} == {cohort.image(2)}


def test_a_record_that_cannot_be_read_means_an_unfinished_case(cohort):
    cohort.record(1).write_text("{")
    assert make_cohort(cohort, TINY, 2, 1, progress=False) == [1]


def test_a_cohort_of_other_settings_is_refused(cohort):
    message = "found a cohort of other settings (noise_hu, seed), expected a new folder or the same settings"
    with pytest.raises(InputError, match=re.escape(message)):
        make_cohort(cohort, PhantomSettings(size=TINY.size, seed=1, noise_hu=(0, 0)), 1, 0, progress=False)


def test_a_folder_of_something_else_is_refused_even_with_overwrite(tmp_path):
    layout = layout_in(tmp_path)
    layout.segments.mkdir()
    (layout.segments / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="found files that no phantom cohort wrote"):
        make_cohort(layout, TINY, 1, 0, overwrite=True, progress=False)
    assert (layout.segments / "dataset.json").read_text() == "{}"


def test_overwrite_begins_anew(tmp_path):
    layout = layout_in(tmp_path)
    make_cohort(layout, TINY, 2, 0, progress=False)
    other = PhantomSettings(size=TINY.size, seed=5)
    assert make_cohort(layout, other, 1, 0, overwrite=True, progress=False) == [1]
    assert json.loads((layout.segments / COHORT_FILE).read_text())["seed"] == 5
    assert [p.name for p in (layout.segments / "labelsTr").iterdir()] == ["phantom_00001.nii.gz"]
    assert json.loads((layout.segments / "dataset.json").read_text())["numTraining"] == 1


@pytest.mark.slow
def test_processes_make_the_same_cases(cohort, tmp_path):
    layout = layout_in(tmp_path)
    assert make_cohort(layout, TINY, 2, 0, processes=2, progress=False) == [1, 2]
    for number in (1, 2):
        for one, other in zip(cohort.all_files(number), layout.all_files(number), strict=True):
            assert np.array_equal(read_array(one)[0], read_array(other)[0])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 0, 1), "`training`: found 0"), ((1, -1, 1), "`test`: found -1"), ((1, 0, 0), "`processes`: found 0")],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, numbers, message):
    with pytest.raises(InputError, match=message):
        make_cohort(layout_in(tmp_path), TINY, *numbers, progress=False)
    assert not layout_in(tmp_path).segments.exists()


def test_ids_and_names_are_checked(tmp_path):
    with pytest.raises(InputError, match="nnUNet_raw: found no value"):
        find_layout(None, 801, 802, "A", "B")
    with pytest.raises(InputError, match="`bav_id`: found 801, expected another ID"):
        find_layout(str(tmp_path), 801, 801, "A", "B")
    with pytest.raises(InputError, match="`dataset`: found 0"):
        find_layout(str(tmp_path), 0, 802, "A", "B")
    with pytest.raises(InputError, match=re.escape("found '../B'")):
        find_layout(str(tmp_path), 801, 802, "A", "../B")
    (tmp_path / "Dataset802_Other").mkdir()
    with pytest.raises(InputError, match="`bav_id`: found data set Dataset802_Other"):
        find_layout(str(tmp_path), 801, 802, "A", "B")


def test_the_check_measures_the_files(cohort):
    array, _ = read_array(cohort.tree("airway", 1))
    findings = {finding.name: finding for finding in check_cohort(cohort, progress=False)}
    assert findings["airway_pieces"].highest == 1
    stored = json.loads((cohort.segments / "phantom_properties.json").read_text())
    assert stored["cases"] == 3
    assert array.any()
    image = sitk.ReadImage(str(cohort.tree("airway", 1)))
    z, y, x = (int(v) for v in np.argwhere(array[::-1] == 0)[0])
    image[x, y, z] = 1  # a voxel far from the tree
    sitk.WriteImage(image, str(cohort.tree("airway", 1)))
    findings = {finding.name: finding for finding in check_cohort(cohort, progress=False)}
    assert (findings["airway_pieces"].highest, findings["airway_pieces"].met) == (2, False)
    assert json.loads(cohort.record(1).read_text())["properties"]["airway_pieces"] == 2


def test_gaps_that_were_asked_for_do_not_count_as_broken_trees():
    row = {
        "airway_in_own_segment": 1.0,
        "artery_in_own_segment": 0.9985,
        "interseg_near_border": 0.96,
        "lung_near_border": 0.1,
        "segments_in_pieces": 0,
        "airway_pieces": 1,
        "artery_pieces": 1,
        "vein_pieces": 1,
        "lung_litres": 5.0,
        "lobe_shares": [17.9, 9.3, 26.5, 23.1, 23.2],
        "segment_border_hu": None,
        "fissure_hu": 40.0,
        "disconnected": False,
    }
    findings = {f.name: f for f in summarise([row, {**row, "airway_pieces": 5, "disconnected": True}])}
    assert findings["airway_pieces"].met
    assert findings["artery_in_own_segment"].met is False
    assert findings["interseg_near_border"].met
    assert findings["segment_border_hu"].met is None
    assert findings["right upper lobe %"].met
