import stat
import zipfile

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.security.archives import check_archive, unpack

GOOD = "Dataset007_Small/model/plans.json"


def archive_of(path, *entries, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3  # Unix
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_a_good_archive_is_unpacked_as_it_is(tmp_path):
    path = archive_of(tmp_path / "a.zip", (GOOD, "{}"), ("Dataset007_Small/ensembles/x/summary.json", "[]"))
    (tmp_path / "out").mkdir()
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / GOOD).read_text() == "{}"
    assert len([file for file in (tmp_path / "out").rglob("*") if file.is_file()]) == 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("../escaped", "a path that leaves its folder"),
        ("Dataset007_Small/../../escaped", "a path that leaves its folder"),
        ("/escaped", "a path that leaves its folder"),
        ("Dataset007_Small\\..\\escaped", "a path that leaves its folder"),
        ("C:/escaped", "a path that leaves its folder"),
        ("Dataset007_Small/a\nb", "a path that leaves its folder or is not portable"),
        ("Dataset007_Small/" + "a/" * 20 + "b", "a path that leaves its folder"),
        ("escaped", "a file outside a data set's folder"),
        ("Other/escaped", "a file outside a data set's folder"),
        ("Dataset007_Small", "a file outside a data set's folder"),
        (link("Dataset007_Small/model/escaped"), "a link or a device"),
    ],
)
def test_entries_that_would_do_harm(tmp_path, entry, message):
    path = archive_of(tmp_path / "a.zip", (GOOD, "{}"), (entry, "/etc/passwd"))
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=f"found {message}"):
        unpack(path, folder)
    assert list(folder.iterdir()) == []  # not even the good entry
    assert not list(tmp_path.rglob("escaped"))


def test_two_entries_of_one_name(tmp_path):
    path = archive_of(tmp_path / "b.zip", (GOOD, "{}"), (GOOD.replace("plans", "PLANS"), "{}"))
    with pytest.raises(InputError, match="found a name that is there twice"):
        check_archive(path)


def test_a_zip_bomb_is_refused_by_its_sizes(tmp_path):
    # 80 MiB of zeros shrink about a thousand times
    path = archive_of(tmp_path / "a.zip", (GOOD, bytes(80 * 2**20)))
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match=r"found 80 MiB in a file of 0\.1 MiB, expected at most 100 times its size"):
        check_archive(path)


def test_a_bomb_that_lies_about_its_size_never_writes_more(tmp_path):
    # the header says 10 bytes, the stream holds 2^20
    path = archive_of(tmp_path / "a.zip", (GOOD, bytes(2**20)))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="found what cannot be unpacked"):
        unpack(path, tmp_path / "out")
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= 10


def test_too_many_and_too_large(tmp_path, monkeypatch):
    path = archive_of(tmp_path / "a.zip", (GOOD, "{}"), (GOOD + "2", "{}"))
    monkeypatch.setattr("impulse_nnunet.security.archives.MOST_FILES", 1)
    with pytest.raises(InputError, match="found 2 entries, expected at most 1"):
        check_archive(path)
    monkeypatch.setattr("impulse_nnunet.security.archives.LARGEST_BYTES", 3)
    monkeypatch.setattr("impulse_nnunet.security.archives.MOST_FILES", 9)
    with pytest.raises(InputError, match="found 0 GiB when unpacked, expected at most 0 GiB"):
        check_archive(path)


def test_no_archive(tmp_path):
    with pytest.raises(InputError, match="found no such file"):
        check_archive(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(InputError, match="found something that is not a zip file"):
        check_archive(tmp_path / "a.zip")
    with pytest.raises(InputError, match="found no file in it"):
        check_archive(archive_of(tmp_path / "b.zip"))


def test_an_encrypted_entry(tmp_path):
    path = archive_of(tmp_path / "a.zip", (GOOD, "{}"))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="found an encrypted entry"):
        check_archive(path)
