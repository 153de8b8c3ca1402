import json
import warnings
from multiprocessing.pool import ThreadPool

import nibabel
import numpy as np
import pytest
from nnunetv2.evaluation import evaluate_predictions
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO

from impulse_nnunet.cli.main import main
from tests.evaluation.brute_force import all_nsd, blobs, disturbed, intrusions_of
from tests.evaluation.image_files import dataset_json, save, save_all
from tests.io.headers import change_header

SPACING = (2.0, 0.75, 0.5)  # exact in float32
NAMES = {"one": 1, "two": 2, "three": 3}


@pytest.fixture
def maps():
    """Three cases: reference, prediction, airway."""
    found = {}
    for seed, case in enumerate(("a", "b", "c")):
        reference = blobs(seed, (5, 7, 6), 4).astype(np.uint8)
        prediction = disturbed(reference, seed).astype(np.uint8)
        if case == "b":
            reference[reference == 2] = prediction[prediction == 2] = 0
        found[case] = reference, prediction, (np.random.default_rng(seed).uniform(size=reference.shape) < 0.3)
    return found


@pytest.fixture
def folders(tmp_path, maps, monkeypatch):
    """Folders gt, pred (with dataset.json) and airway, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("nnUNet_def_n_proc", raising=False)
    for place, name in enumerate(("gt", "pred", "airway")):
        labels = {case: arrays[place].astype(np.uint8) for case, arrays in maps.items()}
        save_all(tmp_path / name, labels, spacing=SPACING)
    dataset_json(tmp_path / "pred", NAMES)
    return tmp_path


def evaluate(*arguments, references="gt", predictions="pred"):
    return main(["evaluate", references, predictions, "-np", "1", "--disable_progress_bar", *arguments])


def result(path="pred/summary.json"):
    with open(path) as file:
        return json.load(file)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_of_every_case(folders, maps, capsys):
    assert evaluate("--airway", "airway", "--tolerance_mm", "0.8", "2") == 0
    found = result()
    dice, nsd, number, distance = [], [], [], []
    for entry, (case, (reference, prediction, tree)) in zip(found["metric_per_case"], maps.items(), strict=True):
        assert entry["case"] == case
        near = all_nsd(reference, prediction, 4, SPACING, 0.8, "voxel")
        expected = [entry["metrics"][label]["NSD_0.8mm"] for label in "123"]
        np.testing.assert_allclose(near, np.array(expected, float), rtol=1e-12)
        groups = intrusions_of(np.where(tree, reference, 0), prediction, 4, SPACING)
        assert entry["anatomy"]["airway"]["NI"] == len(groups)
        nsd.append(np.nanmean(near))
        dice.append(np.nanmean([np.nan if v["Dice"] is None else v["Dice"] for v in entry["metrics"].values()]))
        number.append(len(groups))
        distance.append(np.mean([group[2] for group in groups]))
    for name, values in (("Dice", dice), ("NSD_0.8mm", nsd), ("NIB", number), ("IDB_mm", distance)):
        assert found["paper"][name] == pytest.approx(np.mean(values))
    assert found["failures"] == {}
    printed = capsys.readouterr().out
    assert printed.startswith("3 case(s), mean over cases of the mean over labels; pred/summary.json\n")
    assert f"  Dice             {np.mean(dice):10.4f}\n" in printed


class Threads:
    """Stands for multiprocessing's context: nnU-Net's pool, without new processes."""

    def get_context(self, _):
        return self

    Pool = ThreadPool


@pytest.mark.parametrize("ignore", [None, 9])
def test_every_number_that_nnunet_writes_is_nnunets(folders, maps, monkeypatch, ignore):
    if ignore:
        for case, (reference, _, tree) in maps.items():
            save(np.where(tree, ignore, reference).astype(np.uint8), folders / "gt" / f"{case}.nii.gz", spacing=SPACING)
        dataset_json(folders / "pred", NAMES | {"ignore": ignore})
    assert evaluate() == 0
    monkeypatch.setattr(evaluate_predictions, "multiprocessing", Threads())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean of no number
        evaluate_predictions.compute_metrics_on_folder(
            "gt", "pred", "nnunet.json", NibabelIO(), ".nii.gz", [1, 2, 3], ignore, num_processes=1
        )
    ours, theirs = (evaluate_predictions.load_summary_json(path) for path in ("pred/summary.json", "nnunet.json"))
    for name, value in theirs["foreground_mean"].items():
        assert ours["foreground_mean"][name] == pytest.approx(value, rel=1e-15)
    for label, numbers in theirs["mean"].items():
        assert {name: ours["mean"][label][name] for name in numbers} == pytest.approx(numbers, rel=1e-15)
    for one, other in zip(ours["metric_per_case"], theirs["metric_per_case"], strict=True):
        assert one["prediction_file"] == other["prediction_file"]
        assert one["reference_file"] == other["reference_file"]
        for label, numbers in other["metrics"].items():
            shown = {name: None if np.isnan(value) else value for name, value in numbers.items()}
            assert {name: one["metrics"][label][name] for name in numbers} == shown  # exactly


def test_the_number_of_processes_does_not_matter(folders):
    assert evaluate("--airway", "airway", "-o", "one/summary.json") == 0
    assert main(["evaluate", "gt", "pred", "-np", "2", "--airway", "airway", "-o", "two/summary.json"]) == 0
    for name in ("summary.json", "metrics.csv"):
        assert (folders / "one" / name).read_bytes() == (folders / "two" / name).read_bytes()
    assert files_of(folders / "one") == ["metrics.csv", "summary.json"]


def test_the_format_of_the_files_does_not_matter(folders, maps):
    assert evaluate("--airway", "airway", "-o", "one.json") == 0
    for place, (name, ending) in enumerate((("gt2", ".nrrd"), ("pred2", ".nrrd"), ("airway2", ".mha"))):
        labels = {case: arrays[place].astype(np.int16) for case, arrays in maps.items()}
        save_all(folders / name, labels, ending, spacing=SPACING)
    dataset_json(folders / "pred2", NAMES, ".nrrd")
    assert evaluate("--airway", "airway2", "-o", "two.json", references="gt2", predictions="pred2") == 0
    assert result("one.json")["paper"] == pytest.approx(result("two.json")["paper"])


def test_kinds_of_numbers_in_the_files_do_not_matter(folders, maps):
    assert evaluate("--airway", "airway", "-o", "one.json") == 0
    for folder, place, kind, endianness in (("gt", 0, "f4", ">"), ("pred", 1, "u2", "<"), ("airway", 2, "i8", ">")):
        for case, arrays in maps.items():
            header = nibabel.Nifti1Header(endianness=endianness)
            header.set_data_dtype(kind)
            affine = nibabel.load(f"{folder}/{case}.nii.gz").affine
            scale = 700 if folder == "airway" else 1  # whatever is not 0 is tree
            image = nibabel.Nifti1Image(scale * arrays[place].T.astype(kind), affine, header)
            nibabel.save(image, f"{folder}/{case}.nii.gz")
    assert evaluate("--airway", "airway", "-o", "two.json") == 0
    assert result("one.json")["metric_per_case"] == result("two.json")["metric_per_case"]


def test_choices_reach_the_numbers_and_the_record(folders, maps):
    arguments = ["--surface", "surfel", "--connectivity", "6", "--min_size", "2", "--intrusion_surface", "interface"]
    arguments += ["--absent", "zero", "--hd95", "--assd", "--tolerance_mm", "1"]
    assert evaluate("--airway", "airway", *arguments) == 0
    found = result()
    expected = {
        "surface": "surfel",
        "connectivity": 6,
        "min_size": 2,
        "intrusion_surface": "interface",
        "absent": "zero",
        "hd95": True,
        "assd": True,
        "tolerances_mm": [1],
        "tree_labels": False,
        "trees": {"airway": "airway"},
        "label_names": {"1": "one", "2": "two", "3": "three"},
        "labels": [1, 2, 3],
    }
    assert {name: found["settings"][name] for name in expected} == expected
    for entry, (case, (reference, prediction, tree)) in zip(found["metric_per_case"], maps.items(), strict=True):
        near = np.nan_to_num(all_nsd(reference, prediction, 4, SPACING, 1, "surfel"))
        assert (near[1] == 0) == (case == "b")
        assert entry["paper"]["NSD_1mm"] == pytest.approx(near.mean(), rel=1e-6)
        groups = intrusions_of(np.where(tree, reference, 0), prediction, 4, SPACING, 6, interface=True)
        kept = [group for group in groups if group[1] >= 2]
        assert entry["anatomy"]["airway"]["NI"] == len(kept)
        assert entry["anatomy"]["airway"]["ID_mm"] == pytest.approx(np.mean([group[2] for group in kept]))
        assert entry["metrics"]["1"]["HD95_mm"] >= entry["metrics"]["1"]["ASSD_mm"] > 0


def test_trees_that_carry_labels_and_veins_between_segments(folders, maps):
    for case, (reference, _, tree) in maps.items():
        own = np.where(tree, np.roll(reference, 1, axis=1), 0).astype(np.uint8)
        save(own, folders / "vein" / f"{case}.nii.gz", spacing=SPACING)
        save(tree.astype(np.uint8) * 255, folders / "interseg" / f"{case}.nii.gz", spacing=SPACING)
    assert evaluate("--vein", "vein", "--interseg", "interseg", "--tree_labels") == 0
    for entry, (reference, prediction, tree) in zip(result()["metric_per_case"], maps.values(), strict=True):
        own = np.where(tree, np.roll(reference, 1, axis=1), 0)
        vein = entry["anatomy"]["vein"]
        assert vein["NI"] == len(intrusions_of(own, prediction, 4, SPACING))
        assert vein["n_voxels"] == (own > 0).sum()
        assert vein["n_background"] == ((own > 0) & (prediction == 0)).sum()
        assert vein["share_in_segment"] == pytest.approx(((own > 0) & (own == prediction)).sum() / (own > 0).sum())
        assert vein["n_outside"] == ((own > 0) & (reference == 0)).sum()
        assert entry["anatomy"]["interseg"]["n_outside"] == (tree & (reference == 0)).sum()
        assert "NI" not in entry["anatomy"]["interseg"]
        assert {"NIV", "IDV_mm", "Dice_interseg"} < entry["paper"].keys()


def test_lobes_of_dataset_json(folders, maps):
    dataset_json(folders / "pred", NAMES, lobes={"upper": ["one", 2], "lower": [3]})
    assert evaluate() == 0
    for entry, (reference, prediction, _) in zip(result()["metric_per_case"], maps.values(), strict=True):
        dice = {}
        for name, members in (("upper", [1, 2]), ("lower", [3])):
            one, other = (np.isin(labels, members) for labels in (reference, prediction))
            dice[name] = 2 * (one & other).sum() / (one.sum() + other.sum())
            assert entry["lobes"][name]["Dice"] == pytest.approx(dice[name])
        assert entry["paper"]["Dice_lobes"] == pytest.approx(np.mean(list(dice.values())))


def test_some_labels(folders, maps):
    assert evaluate("--labels", "3", "1", "--airway", "airway") == 0
    found = result()
    assert list(found["mean"]) == ["1", "3"]
    for entry, (reference, prediction, tree) in zip(found["metric_per_case"], maps.values(), strict=True):
        groups = intrusions_of(np.where(tree, reference, 0), prediction, 4, SPACING)
        assert entry["anatomy"]["airway"]["NI"] == len([group for group in groups if group[0] != 2])


def test_labels_stand_in_for_dataset_json(folders):
    assert evaluate("-o", "one.json") == 0
    (folders / "pred" / "dataset.json").unlink()
    assert evaluate("--labels", "1", "2", "3", "-o", "two.json") == 0
    assert result("one.json")["paper"] == result("two.json")["paper"]
    assert result("two.json")["settings"]["label_names"]["2"] == "label 2"


def test_one_case(folders):
    for case in ("a", "c"):
        for folder in ("gt", "pred"):
            (folders / folder / f"{case}.nii.gz").unlink()
    assert evaluate() == 0
    found = result()
    assert [entry["case"] for entry in found["metric_per_case"]] == ["b"]
    assert found["foreground_mean"]["Dice"] is None  # no case has label 2
    assert found["paper"]["Dice"] > 0


# --- what a user can fix --------------------------------------------------------------------------------------------


def test_bad_cases_are_named_and_the_others_evaluated(folders, maps, capsys):
    assert evaluate("-o", "good.json") == 0
    reference, prediction, _ = maps["a"]
    bad = {
        "shape": (prediction[:, :, :5], {}, "found shape (5, 7, 5), expected (5, 7, 6) as in gt/shape.nii.gz"),
        "spacing": (prediction, {"spacing": (1, 1, 1)}, "found spacing (1, 1, 1) mm, expected (2, 0.75, 0.5) mm"),
        "origin": (
            prediction,
            {"origin": (1, 2, 3)},
            "found origin (1, 2, 3) mm (voxels up to 3.742 mm off)",
        ),
        "turn": (prediction, {"direction": np.diag([-1, -1, 1])}, "found direction (-1, 0, 0, 0, -1, 0, 0, 0, 1)"),
        "label": (prediction + 3, {}, "found label(s) 4, 5, 6, expected only 0, 1, 2, 3"),
        "cut": (prediction, {}, "found an unreadable file"),
        "missing": (None, {}, "found a reference without a prediction"),
    }
    for case, (labels, geometry, _) in bad.items():
        save(reference, folders / "gt" / f"{case}.nii.gz", spacing=SPACING)
        if labels is not None:
            save(labels, folders / "pred" / f"{case}.nii.gz", **({"spacing": SPACING} | geometry))
    rng = np.random.default_rng(0)
    for folder in ("gt", "pred"):
        save(rng.integers(0, 4, (9, 30, 30)).astype(np.uint8), folders / folder / "cut.nii.gz", spacing=SPACING)
    whole = (folders / "pred" / "cut.nii.gz").read_bytes()
    (folders / "pred" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    save(prediction, folders / "pred" / "extra.nii.gz", spacing=SPACING)
    before = files_of(folders / "pred")
    capsys.readouterr()
    assert evaluate() == 2
    found, good, printed = result(), result("good.json"), capsys.readouterr().err
    assert files_of(folders / "pred") == sorted(["metrics.csv", "summary.json", *before])
    assert "impulse_nnunet: 8 of 11 cases failed:\n" in printed
    for case, (_, _, message) in bad.items():
        assert message in found["failures"][case]
        assert found["failures"][case] in printed
        assert case in found["failures"][case]
    assert "extra: found a prediction without a reference" in printed
    assert found["failures"].keys() == {*bad, "extra"}
    assert found["metric_per_case"] == good["metric_per_case"]
    assert found["paper"] == good["paper"]


def test_bad_trees_are_named_and_the_others_evaluated(folders, maps, capsys):
    (folders / "airway" / "a.nii.gz").unlink()
    save(maps["b"][2].astype(np.uint8), folders / "airway" / "b.nii.gz", spacing=SPACING, origin=(5, 5, 5))
    assert evaluate("--airway", "airway") == 2
    printed = capsys.readouterr().err
    assert "impulse_nnunet: 2 of 3 cases failed:" in printed
    assert "a: found no airway file, expected one in airway; add it, or leave that tree out" in printed
    assert (
        "airway/b.nii.gz: found origin (5, 5, 5) mm (voxels up to 8.66 mm off), expected origin (0, 0, 0) mm as in gt/b"
        in printed
    )
    assert [entry["case"] for entry in result()["metric_per_case"]] == ["c"]


def test_chill(folders, capsys):
    (folders / "pred" / "a.nii.gz").unlink()
    assert evaluate() == 2
    assert "a: found a reference without a prediction" in capsys.readouterr().err
    assert evaluate("--chill") == 0
    assert [entry["case"] for entry in result()["metric_per_case"]] == ["b", "c"]


def test_no_case_at_all(folders, capsys):
    for path in (folders / "pred").glob("*.nii.gz"):
        path.unlink()
    assert evaluate() == 2
    assert "3 of 3 cases failed" in capsys.readouterr().err
    assert evaluate("--chill") == 2
    expected = "pred: found no case to evaluate, expected files named as in gt; check the folders and endings"
    assert expected in capsys.readouterr().err
    assert files_of(folders / "pred") == ["dataset.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "1", "7"], "--labels: found 7, expected labels of pred/dataset.json (1, 2, 3); correct it"),
        (["--tolerance_mm", "-1"], "--tolerance_mm: found [-1.0], expected numbers from 0 on"),
        (["--tolerance_mm", "nan"], "--tolerance_mm: found [nan], expected numbers from 0 on"),
        (["--min_size", "0"], "--min_size: found 0, expected a number of voxels from 1 on"),
        (["-djfile", "nowhere.json"], "nowhere.json: found no such file, expected nnU-Net's dataset.json"),
        (["-o", "scores"], "-o: found scores, expected a file that ends in .json"),
        (["--vein", "veins"], "veins: found no such folder, expected a folder of label maps"),
    ],
)
def test_a_bad_setting_is_one_line_before_anything_is_read(folders, capsys, arguments, message):
    (folders / "pred" / "a.nii.gz").write_bytes(b"")
    assert evaluate(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"impulse_nnunet: {message}")
    assert printed.count("\n") == 1
    assert "summary.json" not in files_of(folders / "pred")


def test_folders_and_labels_must_be_there(folders, capsys):
    assert evaluate(predictions="nowhere") == 2
    assert "nowhere: found no such folder, expected a folder of label maps" in capsys.readouterr().err
    (folders / "pred" / "dataset.json").unlink()
    assert evaluate() == 2
    assert "pred: found no dataset.json, expected the names of the labels" in capsys.readouterr().err
    assert evaluate("--labels", "0", "1") == 2
    assert "--labels: found 0, expected labels from 1 to 65535" in capsys.readouterr().err


# --- headers ---------------------------------------------------------------------------------------------------------


def block(x, y, z):
    labels = np.zeros((20, 20, 12), np.uint8)
    labels[x : x + 10, y : y + 10, z : z + 6] = 1
    return labels


def test_an_sform_that_lost_its_scale(tmp_path, capsys):
    """Distances by pixdim, 1.5 x 1.5 x 8 mm, worked out by SciPy's distance transform of voxel surfaces."""
    affine = np.diag([-1.5, -1.5, 8.0, 1.0])
    for name, labels in (("gt", block(5, 5, 3)), ("pred", block(7, 5, 4))):
        (tmp_path / name).mkdir()
        image = nibabel.Nifti1Image(labels, affine)
        image.set_qform(affine, 1)
        image.set_sform(affine, 1)
        nibabel.save(image, tmp_path / name / "a.nii.gz")
        change_header(tmp_path / name / "a.nii.gz", srow=np.diag([-1.0, -1, 1, 1]))
    arguments = ("--labels", "1", "--hd95", "--assd")
    assert evaluate(*arguments, references=str(tmp_path / "gt"), predictions=str(tmp_path / "pred")) == 0
    found = result(tmp_path / "pred" / "summary.json")["paper"]
    # of the sform's 1 x 1 x 1: 2.0, 0.949, 0.762
    expected = {"HD95_mm": 8.1394, "ASSD_mm": 3.5315, "NSD_1mm": 0.2791}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("shear", [5e-4, 2e-3])
def test_a_small_shear_is_evaluated(tmp_path, shear):
    affine = np.diag([1.5, 1.5, 8.0, 1.0])
    affine[0, 2] = 8 * shear
    for name, labels in (("gt", block(5, 5, 3)), ("pred", block(7, 5, 4))):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / name / "a.nii.gz")
    arguments = ("--labels", "1", "--hd95", "--assd")
    assert evaluate(*arguments, references=str(tmp_path / "gt"), predictions=str(tmp_path / "pred")) == 0
    found = result(tmp_path / "pred" / "summary.json")["paper"]
    expected = {"HD95_mm": 8.1394, "ASSD_mm": 3.5315, "NSD_1mm": 0.2791}  # as without shear
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-3)


def test_an_orientation_that_is_missing_may_be_assumed(tmp_path, capsys):
    for name in ("gt", "pred"):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(block(5, 5, 3), np.eye(4)), tmp_path / name / "a.nii.gz")
        change_header(tmp_path / name / "a.nii.gz", qform_code=0, sform_code=0)
    folders = {"references": str(tmp_path / "gt"), "predictions": str(tmp_path / "pred")}
    assert evaluate("--labels", "1", **folders) == 2
    assert "found qform_code 0 and sform_code 0, so no orientation" in capsys.readouterr().err
    assert evaluate("--labels", "1", "--assume-orientation", **folders) == 0
