import json
import os

import pytest

from impulse_nnunet.jobs.record import BEGUN, CHANGED, DONE, NEW, Inputs, Record, Status


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "records" / "train.json")


def test_a_result_is_done_only_with_the_same_inputs_and_after_its_end(record):
    inputs = Inputs({"seed": 1, "shape": (2, 3)})
    assert record.status(inputs) == Status(NEW)
    record.begin(inputs)
    same = Inputs({"seed": 1, "shape": [2, 3]})  # JSON knows no tuples
    assert record.status(same) == Status(BEGUN)
    assert record.digest() == ""
    record.finish({"seconds": 2.0})
    assert Record(record.path).status(same) == Status(DONE)
    assert record.result() == {"seconds": 2.0}
    assert record.status(Inputs({"seed": 2, "shape": [2, 3]})) == Status(CHANGED, "seed")


def test_changes_are_named_down_to_the_second_level(record):
    record.begin(Inputs({"plans": {"lr": 1, "net": {"a": 1}}, "versions": {"torch": "2.1"}}))
    found = record.status(Inputs({"plans": {"lr": 2, "net": {"a": 2}}, "versions": {}}))
    assert found == Status(CHANGED, "plans: lr, plans: net, versions: torch")
    assert record.status(Inputs({"a": 1, "b": 2})).reason.endswith(" and more")


def test_a_source_that_changes_is_named(record, tmp_path):
    source = tmp_path / "a.nii.gz"
    source.write_text("12")
    inputs = Inputs(sources={"image": source})
    record.begin(inputs)
    record.finish()
    assert record.status(inputs) == Status(DONE)
    source.write_text("21")
    assert record.status(inputs) == Status(CHANGED, "sources: image")


def test_a_lost_product_is_a_change(record, tmp_path):
    product = tmp_path / "product"
    record.begin(Inputs())
    record.finish()
    assert record.status(Inputs(), [product]) == Status(CHANGED, "product is gone")


def test_products_that_someone_else_wrote_are_seen(record, tmp_path):
    product = tmp_path / "product"
    product.write_text("12")
    record.begin(Inputs())
    record.finish(products=[product])
    assert record.products_are_unchanged([product])
    product.write_text("21")
    assert not record.products_are_unchanged([product])


def test_the_digest_tells_what_a_result_was_made_from(record):
    digests = []
    for seed in (1, 2, 1):
        record.begin(Inputs({"seed": seed}))
        record.finish({"seconds": seed})
        digests.append(record.digest())
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("text", ['{"state": "done"', "[]", '{"state": "done", "key": {}}', '{"steps": {"train": {}}}'])
def test_a_broken_record_or_one_of_an_earlier_form_leads_to_a_redo(record, text):
    record.path.parent.mkdir()
    record.path.write_text(text)
    assert record.status(Inputs()).state == CHANGED
    assert record.result() == {}
    record.begin(Inputs())
    assert record.status(Inputs()).state == BEGUN


def test_what_was_made_from_something_else_is_kept_with_its_record(record, tmp_path):
    folder = tmp_path / "fold_0"
    folder.mkdir()
    (folder / "checkpoint").write_text("weights")
    record.begin(Inputs({"seed": 1}))
    place = record.set_aside([folder, tmp_path / "no"], "training")
    assert (place / "fold_0" / "checkpoint").read_text() == "weights"
    assert json.loads((place / "train.json").read_text())["inputs"]["seed"] == 1
    assert not folder.exists()
    assert record.set_aside([folder], "training") is None


def test_notes_are_taken_over_so_that_nothing_is_read_twice(record, tmp_path, monkeypatch):
    source = tmp_path / "a"
    source.write_text("12")
    os.utime(source, (1, 1))
    record.begin(Inputs(sources={"a": source}))
    monkeypatch.setattr("impulse_nnunet.jobs.content._read", lambda _: pytest.fail("it was read again"))
    monkeypatch.setattr("impulse_nnunet.jobs.content._READ", {})
    record.begin(Inputs({"seed": 1}, {"a": source}))
    assert record.status(Inputs({"seed": 1}, {"a": source})) == Status(BEGUN)


def test_what_a_record_of_before_could_not_know_is_completed(record):
    record.begin(Inputs({"plans": {"lr": 1}}))
    wanted = Inputs({"plans": {"lr": 1, "new": 0}})
    assert record.status(wanted) == Status(CHANGED, "plans: new")
    completing = Record(record.path, lambda inputs: inputs | {"plans": {"new": 0} | inputs["plans"]})
    assert completing.status(wanted) == Status(BEGUN)
    assert completing.status(Inputs({"plans": {"lr": 1, "new": 1}})) == Status(CHANGED, "plans: new")
    assert "new" not in record.read()["inputs"]["plans"]  # the file stays what it was
