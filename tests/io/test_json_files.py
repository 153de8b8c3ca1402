import json

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.json_files import not_finite, read_json_object


def test_an_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, {"b": 2}]}')
    assert read_json_object(tmp_path / "a.json", "plans") == {"a": [1, {"b": 2}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"found no valid JSON \(Expecting property name"),
        ("[1]", "found a list, expected an object, plans"),
        ("[" * 100_000, "found lists in lists without end, expected plans"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "found more than 100 levels, expected plans"),
        (b"\xff\xfe{}", "found no valid JSON"),
    ],
)
def test_other_files_are_named(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_json_object(path, "plans")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("impulse_nnunet.io.json_files.LARGEST_JSON_BYTES", 10)
    (tmp_path / "a.json").write_text("no JSON, but longer than 10")
    with pytest.raises(InputError, match="found 0 MiB, expected plans of at most 0 MiB"):
        read_json_object(tmp_path / "a.json", "plans")


def test_the_first_number_that_is_none_is_named():
    content = json.loads('{"a": [1.0, 2], "b": {"c": [0, NaN]}, "d": Infinity}')
    assert not_finite(content) == "b.c.1"
    assert not_finite({"a": [1.5, "NaN", None, True]}) is None
