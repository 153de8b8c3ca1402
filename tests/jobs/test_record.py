from impulse_nnunet.jobs.record import Record, fingerprint


def test_a_step_is_done_only_with_the_same_inputs_and_after_its_end(tmp_path):
    record = Record(tmp_path)
    record.begin("train", {"seed": 1, "shape": (2, 3)})
    assert Record(tmp_path).was_begun("train", {"seed": 1, "shape": [2, 3]})  # JSON knows no tuples
    assert not Record(tmp_path).is_done("train", {"seed": 1, "shape": [2, 3]})
    record.finish("train", {"seconds": 2.0})
    again = Record(tmp_path)
    assert again.is_done("train", {"seed": 1, "shape": [2, 3]})
    assert again.result("train") == {"seconds": 2.0}
    assert not again.is_done("train", {"seed": 2, "shape": [2, 3]})


def test_beginning_a_step_forgets_what_follows_it(tmp_path):
    record = Record(tmp_path)
    for step in ("train", "predict", "evaluate"):
        record.begin(step, {"n": 1})
        record.finish(step, {})
    record.begin("predict", {"n": 2})
    again = Record(tmp_path)
    assert list(again.steps) == ["train", "predict"]
    assert again.result("evaluate") == {}


def test_differing_inputs_are_named(tmp_path):
    record = Record(tmp_path)
    record.begin("train", {"plans": {"lr": 1, "seed": 0}, "versions": {"torch": "2.1"}})
    assert record.differing("train", {"plans": {"lr": 2, "seed": 0}, "versions": {}}) == ["plans.lr", "versions.torch"]
    assert record.differing("predict", {}) == []


def test_a_broken_record_counts_for_nothing(tmp_path):
    (tmp_path / "run.json").write_text('{"steps": {"train"')
    assert not Record(tmp_path).was_begun("train", {})


def test_the_fingerprint_sees_names_and_sizes(tmp_path):
    (tmp_path / "a").write_text("12")
    first = fingerprint([tmp_path])
    (tmp_path / "a").write_text("123")
    second = fingerprint([tmp_path])
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, fingerprint([tmp_path])}) == 3
    assert fingerprint([tmp_path / "no"]) == "none"
