import os
from pathlib import Path

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.case import evaluate_case
from impulse_nnunet.evaluation.folder import (
    CaseFiles,
    evaluate_cases,
    evaluate_files,
    match_files,
)
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.io.label_scheme import LabelScheme
from tests.evaluation.brute_force import blobs, disturbed
from tests.evaluation.image_files import save, save_all

SETTINGS = MetricSettings(tolerances_mm=(1.0,))
SCHEME = LabelScheme({2: "two", 5: "five", 300: "three hundred"}, None, {"both": (2, 300), "other": (5,)})
PLACE = {"spacing": (2, 0.7, 0.8), "origin": (1, 2, 3)}


def classes(seed):
    reference = blobs(seed, (5, 6, 7), 4)
    return reference, disturbed(reference, seed)


def write(folder, seed, table=(0, 2, 5, 300), tree=True):
    """Files of one case, and its maps of classes."""
    reference, prediction = classes(seed)
    case = f"case{seed}"
    branches = (np.random.default_rng(seed).uniform(size=reference.shape) < 0.3) * 1
    files = {"gt": np.array(table)[reference], "pred": np.array(table)[prediction], "airway": branches}
    for name, labels in files.items():
        save(labels.astype(np.uint16), folder / name / f"{case}.nii.gz", **PLACE)
    trees = {"airway": folder / "airway" / f"{case}.nii.gz"} if tree else {}
    return CaseFiles(
        case=case,
        reference=folder / "gt" / f"{case}.nii.gz",
        prediction=folder / "pred" / f"{case}.nii.gz",
        trees=trees,
    ), branches


def empty_files(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_pairs_by_identifier_whatever_the_format(tmp_path):
    truth = empty_files(tmp_path / "gt", "b.nii.gz", "a.nrrd")
    found = empty_files(tmp_path / "pred", "a.nii.gz", "b.mha", "summary.json")
    tree = empty_files(tmp_path / "airway", "a.nii", "b.nii.gz", "c.nii.gz")
    cases, failures = match_files(truth, found, {"airway": tree}, None, chill=False)
    assert failures == {}
    assert cases == [
        CaseFiles(
            case="a", reference=truth / "a.nrrd", prediction=found / "a.nii.gz", trees={"airway": tree / "a.nii"}
        ),
        CaseFiles(
            case="b", reference=truth / "b.nii.gz", prediction=found / "b.mha", trees={"airway": tree / "b.nii.gz"}
        ),
    ]


def test_what_lacks_its_partner_is_named(tmp_path):
    truth = empty_files(tmp_path / "gt", "a.nii.gz", "missing.nii.gz", "treeless.nii.gz")
    found = empty_files(tmp_path / "pred", "a.nii.gz", "extra.nii.gz", "treeless.nii.gz")
    tree = empty_files(tmp_path / "vein", "a.nii.gz")
    cases, failures = match_files(truth, found, {"vein": tree}, ".nii.gz", chill=False)
    assert [files.case for files in cases] == ["a"]
    assert failures == {
        "extra": f"extra: found a prediction without a reference, expected a file of that name in {truth}; "
        f"add it, or remove it from {found}",
        "missing": f"missing: found a reference without a prediction, expected a file of that name in {found}; "
        f"add it, or remove it from {truth}",
        "treeless": f"treeless: found no vein file, expected one in {tree}; add it, or leave that tree out",
    }
    assert match_files(truth, found, {}, ".nii.gz", chill=True)[1].keys() == {"extra"}


# --- one case --------------------------------------------------------------------------------------------------------


def test_files_give_the_numbers_of_their_arrays(tmp_path):
    files, tree = write(tmp_path, 0)
    found = evaluate_files(files, SCHEME, SETTINGS)
    expected = evaluate_case(
        *classes(0), 4, PLACE["spacing"], SETTINGS, {"airway": tree}, {"both": [1, 3], "other": [2]}
    )
    for name, values in expected.per_label.items():
        np.testing.assert_allclose(found.per_label[name], values, rtol=1e-6)
    np.testing.assert_array_equal(found.trees["airway"].confusion, expected.trees["airway"].confusion)
    np.testing.assert_allclose(
        found.trees["airway"].intrusions.distances_mm, expected.trees["airway"].intrusions.distances_mm, rtol=1e-6
    )
    assert found.lobes == expected.lobes


def test_ignored_voxels_do_not_count(tmp_path):
    files, _ = write(tmp_path, 1, (9, 2, 5, 300), tree=False)  # what is background in the reference is ignored
    reference, prediction = classes(1)
    save(np.array([0, 2, 5, 300], np.uint16)[prediction], files.prediction, **PLACE)
    found = evaluate_files(files, LabelScheme(SCHEME.names, 9), SETTINGS)
    expected = evaluate_case(reference, prediction, 4, PLACE["spacing"], SETTINGS, valid=reference > 0)
    for name, values in expected.per_label.items():
        np.testing.assert_allclose(found.per_label[name], values, rtol=1e-6)
    assert found.per_label["FP"].sum() < ((prediction > 0) & (prediction != reference)).sum()


def test_trees_that_carry_labels(tmp_path):
    files, branches = write(tmp_path, 2)
    labelled = np.where(branches, np.array([2, 5, 300])[np.arange(7) % 3], 0)
    save(labelled.astype(np.uint16), files.trees["airway"], **PLACE)
    between = save((branches * 255).astype(np.uint8), tmp_path / "interseg" / "case2.nii.gz", **PLACE)
    both = CaseFiles(
        case="case2", reference=files.reference, prediction=files.prediction, trees=files.trees | {"interseg": between}
    )
    found = evaluate_files(both, SCHEME, MetricSettings(tolerances_mm=(1.0,), tree_labels=True)).trees
    expected = [np.count_nonzero(labelled == label) for label in (2, 5, 300)]
    assert found["airway"].n_voxels.tolist() == expected
    assert found["interseg"].intrusions is None  # its mask has a value that is no label, and needs none
    save(labelled.astype(np.uint16) + 1, files.trees["airway"], **PLACE)
    with pytest.raises(InputError, match=r"airway.case2.nii.gz: found label\(s\) 1, 3, 6, 301, expected only 0, 2, 5"):
        evaluate_files(files, SCHEME, MetricSettings(tolerances_mm=(1.0,), tree_labels=True))


@pytest.mark.parametrize("which", ["pred", "airway"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (5, 6, 8)}, r"found shape \(5, 6, 8\), expected \(5, 6, 7\) as in .*gt"),
        ({"spacing": (2, 0.8, 0.7)}, r"found spacing \(2, 0.8, 0.7\) mm, expected \(2, 0.7, 0.8\) mm as in "),
        (
            {"origin": (1, 2, 9)},
            r"found origin \(1, 2, 9\) mm \(voxels up to 6 mm off\), expected origin",
        ),
        ({"direction": np.diag([-1, -1, 1])}, r"found direction \(-1, .*, expected direction \(1, 0, 0, 0, 1,"),
        ({}, "found (an unreadable file|a file whose geometry cannot be read)"),
        (None, "found no such file, expected a label map"),
    ],
)
def test_a_bad_file_is_named(tmp_path, which, changes, message):
    files, _ = write(tmp_path, 3)
    path = {"pred": files.prediction, "airway": files.trees["airway"]}[which]
    if changes:
        geometry = PLACE | changes
        save(np.zeros(geometry.pop("shape", (5, 6, 7)), np.uint8), path, **geometry)
    elif changes is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=f"{which}.case3.nii.gz: {message}"):
        evaluate_files(files, SCHEME, SETTINGS)


def test_labels_that_dataset_json_lacks(tmp_path):
    files, _ = write(tmp_path, 4)
    with pytest.raises(InputError, match=r"gt.case4.nii.gz: found label\(s\) 300, expected only 0, 2, 5; correct"):
        evaluate_files(files, LabelScheme({2: "two", 5: "five"}), SETTINGS)


# --- many cases ------------------------------------------------------------------------------------------------------


def test_one_bad_case_does_not_stop_the_others(tmp_path, capsys):
    cases = [write(tmp_path, seed)[0] for seed in (2, 0, 1)]
    cases[0].prediction.write_bytes(b"")
    found = evaluate_cases(cases, SCHEME, SETTINGS, processes=1, progress=False)
    assert list(found.cases) == ["case0", "case1"]
    assert list(found.failures) == ["case2"]
    assert "pred/case2.nii.gz: found" in found.failures["case2"]
    assert found.files == {files.case: files for files in cases}
    assert capsys.readouterr() == ("", "")


def test_no_cases():
    for processes in (1, 8):
        found = evaluate_cases([], SCHEME, SETTINGS, processes, progress=False)
        assert (found.cases, found.files, found.failures) == ({}, {}, {})


def test_too_little_memory_is_a_failure(monkeypatch, tmp_path):
    def no_room(*_):
        raise MemoryError

    monkeypatch.setattr("impulse_nnunet.evaluation.folder.read_label_map", no_room)
    found = evaluate_cases([write(tmp_path, 0)[0]], SCHEME, SETTINGS, progress=False)
    assert found.failures["case0"] == (
        "case0: found too little memory, expected room for its label maps; try a smaller `processes`"
    )


class Deadly(dict):
    """Ends the process that unpickles it, as the kernel ends one that takes too much memory."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_killed_process_is_reported_and_stops_no_other_case(tmp_path):
    first, second = (write(tmp_path, seed)[0] for seed in (0, 1))
    deadly = CaseFiles(case="deadly", reference=Path("x"), prediction=Path("y"), trees=Deadly())
    found = evaluate_cases([deadly, first, second], SCHEME, SETTINGS, processes=2, progress=False)
    assert list(found.cases) == ["case0", "case1"]
    assert found.failures == {
        "deadly": "deadly: found its process killed, perhaps for lack of memory, expected numbers; "
        "free memory, or look at its files"
    }


def test_folders_are_found_with_their_files(tmp_path):
    reference, prediction = classes(0)
    save_all(tmp_path / "gt", {"a": reference.astype(np.uint8)}, ".nrrd", **PLACE)
    save_all(tmp_path / "pred", {"a": prediction.astype(np.uint8)}, ".mha", **PLACE)
    cases, _ = match_files(tmp_path / "gt", tmp_path / "pred", {}, None, chill=False)
    found = evaluate_cases(cases, LabelScheme({1: "a", 2: "b", 3: "c"}), SETTINGS, progress=False)
    expected = evaluate_case(reference, prediction, 4, PLACE["spacing"], SETTINGS)
    np.testing.assert_allclose(found.cases["a"].per_label["NSD_1mm"], expected.per_label["NSD_1mm"])
