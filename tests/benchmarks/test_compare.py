import json

from benchmarks.bench import with_ratios
from benchmarks.compare import main


def written(path, **rows):
    rows = [{"name": n, "seconds": s, "peak_mib": p, "against": None, "ratio": None} for n, (s, p) in rows.items()]
    path.write_text(json.dumps(rows))
    return str(path)


def test_rows_that_are_worse_by_a_fifth_are_marked(tmp_path, capsys):
    old = written(tmp_path / "old.json", slower=(10, 100), larger=(1, 100), same=(1, 100), gone=(1, 1))
    new = written(tmp_path / "new.json", slower=(12, 100), larger=(1, 121), same=(1.19, 119), fresh=(1, 1))
    assert main([old, new]) == 1
    lines = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in capsys.readouterr().out.splitlines()}
    expected = {"slower": "SLOWER", "larger": "LARGER", "same": "", "gone": "gone", "fresh": "new"}
    assert {name: lines[name] for name in expected} == expected


def test_nothing_worse_ends_well(tmp_path):
    old, new = written(tmp_path / "a.json", a=(1, 10), b=(2, 3)), written(tmp_path / "b.json", a=(1, 60), b=(1, 3))
    assert main([old, new]) == 0


def test_a_row_is_compared_within_its_own_run_only():
    found = {name: {"seconds": s, "peak_mib": 1} for name, s in (("decode_native", 2.0), ("decode_plain", 600.0))}
    first, second = with_ratios(found, "cpu")
    assert (first["name"], first["against"], first["ratio"]) == ("decode_native_cpu", "decode_plain_cpu", 300)
    assert second["against"] is None
    (alone,) = with_ratios({"encode": {"seconds": 1.0, "peak_mib": 1}}, "cpu")
    assert alone["against"] is None
    assert alone["ratio"] is None
