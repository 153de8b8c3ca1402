import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import read_dataset_json
from impulse_nnunet.io.label_scheme import label_scheme, scheme_of_labels
from tests.evaluation.image_files import dataset_json

LABELS = {"right S2": 7, "right S1": 3, "left S3": 500}


def scheme(tmp_path, labels=LABELS, **more):
    path = dataset_json(tmp_path, labels, **more)
    return label_scheme(read_dataset_json(path), path)


def test_labels_in_order_with_names(tmp_path):
    found = scheme(tmp_path)
    assert found.labels == [3, 7, 500]
    assert found.names == {3: "right S1", 7: "right S2", 500: "left S3"}
    assert (found.ignore_label, found.lobes) == (None, {})


def test_ignore_is_no_label(tmp_path):
    found = scheme(tmp_path, LABELS | {"ignore": 501})
    assert (found.labels, found.ignore_label) == ([3, 7, 500], 501)


def test_lobes_of_labels_or_names(tmp_path):
    found = scheme(tmp_path, lobes={"upper": ["right S1", 7], "lower": [500]})
    assert found.lobes == {"upper": (3, 7), "lower": (500,)}


def test_labels_without_names():
    found = scheme_of_labels([5, 2, 5])
    assert found.names == {2: "label 2", 5: "label 5"}


@pytest.mark.parametrize("label", [0, -1, 65536])
def test_labels_without_names_must_be_labels(label):
    with pytest.raises(InputError, match=f"`labels`: found {label}, expected labels from 1 to 65535; correct it"):
        scheme_of_labels([1, label])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"a": -1}}, "found label 'a' = -1, expected integers from 0 to 65535"),
        ({"labels": {"a": 65536}}, "found label 'a' = 65536, expected integers from 0 to 65535"),
        ({"labels": {"a": 1.5}}, "found label 'a' = 1.5, expected integers"),
        ({"labels": {"a": True}}, "found label 'a' = True, expected integers"),
        ({"labels": {"a": "1"}}, "found label 'a' = '1', expected integers"),
        ({"labels": {}}, "found no foreground label, expected at least one"),
        ({"labels": {"ignore": 1}}, "found no foreground label, expected at least one"),
        ({"lobes": {"upper": [3, 8]}}, "found member 8 of lobe 'upper', expected a foreground label"),
        ({"lobes": {"upper": ["nobody"]}}, "found member 'nobody' of lobe 'upper', expected a foreground label"),
        ({"lobes": {"upper": ["background"]}}, "found member 'background' of lobe 'upper'"),
        ({"lobes": {"upper": [[3]]}}, r"found member \[3\] of lobe 'upper'"),
        ({"lobes": {"upper": [3, 7], "lower": [7]}}, "found label 7 twice, expected .*each label in one lobe"),
        ({"lobes": {"upper": [3, "right S1"]}}, "found label 3 twice"),
        ({"lobes": {"upper": 3}}, 'found lobes .*, expected "lobes": {"right upper lobe"'),
        ({"lobes": {"upper": []}}, 'found lobes .*, expected "lobes": {"right upper lobe"'),
        ({"lobes": [3]}, 'found lobes .*, expected "lobes": {"right upper lobe"'),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=f"dataset.json: {message}"):
        scheme(tmp_path, **changes)


def test_regions_are_not_supported(tmp_path):
    with pytest.raises(NotImplementedError, match=r"dataset.json: region-based labels \(whole: \[1, 2\]\)"):
        scheme(tmp_path, {"whole": [1, 2], "part": 2})
