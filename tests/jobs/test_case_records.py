import os

import pytest

from impulse_nnunet.jobs.case_records import CaseRecords, model_identity


@pytest.fixture
def case(tmp_path):
    """Records, a source and a product that is not there yet."""
    source = tmp_path / "image.nii.gz"
    source.write_text("12")
    return CaseRecords(tmp_path / "records", {"spacing": 1}), [source], [tmp_path / "out.nii.gz"]


def make(records, sources, products):
    records.begin("a", sources, products)
    for product in products:
        product.write_text("made")
    records.finish("a", products)


def test_a_case_is_made_until_its_source_changes(case):
    records, sources, products = case
    assert not records.is_made("a", sources, products)
    make(*case)
    assert records.is_made("a", sources, products)
    os.utime(sources[0], (5, 5))
    assert records.is_made("a", sources, products)
    sources[0].write_text("21")
    assert not records.is_made("a", sources, products)


def test_other_settings_make_another_result(case, tmp_path):
    make(*case)
    assert CaseRecords(tmp_path / "records", {"spacing": 1}).is_made("a", *case[1:])
    assert not CaseRecords(tmp_path / "records", {"spacing": 2}).is_made("a", *case[1:])


def test_a_product_without_a_record_or_of_someone_else_does_not_count(case):
    records, sources, products = case
    products[0].write_text("made")
    assert not records.is_made("a", sources, products)
    make(*case)
    products[0].write_text("else")
    assert not records.is_made("a", sources, products)


def test_whole_products_of_an_interrupted_call_count(case):
    records, sources, products = case
    products[0].write_text("of an earlier call")
    records.begin("a", sources, products)
    assert not products[0].exists()
    assert records.is_begun("a")
    assert not records.is_made("a", sources, products)
    products[0].write_text("made")
    assert records.is_made("a", sources, products)
    records.finish("a", products)
    assert not records.is_begun("a")


def test_resume_does_what_no_record_proves_done_and_notes_what_was_made_before_a_failure(case, tmp_path):
    records, sources, _ = case

    def resume(work, **more):
        return records.resume({"a": sources, "b": sources}, lambda name: [tmp_path / name], work, **more)

    def make_a_then_fail(todo):
        assert todo == ["a", "b"]
        (tmp_path / "a").write_text("made")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        resume(make_a_then_fail)
    assert resume(list) == ["b"]
    assert not records.is_begun("a")
    assert resume(list, start_over=True) == ["a", "b"]
    assert not (tmp_path / "a").exists()


def test_a_model_is_known_by_its_content(tmp_path):
    folder = tmp_path / "model" / "fold_0"
    folder.mkdir(parents=True)
    (folder / "checkpoint_final.pth").write_text("12")
    first = model_identity(folder.parent, [0], "checkpoint_final.pth")
    folder.parent.rename(tmp_path / "moved")
    assert model_identity(tmp_path / "moved", [0], "checkpoint_final.pth") == first
    assert first["plans.json"] == "absent"
    (tmp_path / "moved/fold_0/checkpoint_final.pth").write_text("21")
    assert model_identity(tmp_path / "moved", [0], "checkpoint_final.pth") != first


def test_the_same_files_at_another_place_are_the_same(case, tmp_path):
    records, sources, products = case
    make(*case)
    moved = tmp_path / "moved.nii.gz"
    sources[0].rename(moved)
    assert records.is_made("a", [moved], products)
