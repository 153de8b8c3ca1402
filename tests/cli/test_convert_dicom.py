import re

from impulse_nnunet.cli.main import main
from tests.io.dicom.made import PATIENT, PATIENT_ID, scan


def test_series_become_images_with_nnunets_names(tmp_path, capsys):
    scan().write(tmp_path / "in" / PATIENT / "a", f"{PATIENT}_{{}}")
    scan(patient_id="B").write(tmp_path / "in" / "b")
    assert main(["convert_dicom", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"2 case(s) written into {tmp_path / 'out'}\n"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch(r"ct_[0-9a-f]{12}_0000\.nii\.gz", name) for name in names)
    assert "MUELLER" not in printed.out + printed.err


def test_the_list_tells_which_folder_a_series_lies_in(tmp_path, capsys):
    made = scan()
    made.write(tmp_path / "a")
    scan((6, 4, 4)).write(tmp_path / "b")[2].unlink()
    assert main(["convert_dicom", "-i", str(tmp_path), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    good = next(line for line in lines if "files in a" in line)
    assert "6 files in a  6 x 8 x 10 voxels of 2 x 0.7 x 0.8 mm" in good
    assert good.endswith(made.series)
    assert "not usable: 1 missing slice(s)" in next(line for line in lines if "files in b" in line)
    assert PATIENT_ID not in "".join(lines)


def test_bad_series_are_named_and_the_others_written(tmp_path, capfd):
    scan().write(tmp_path / "in" / PATIENT / "a", f"{PATIENT}_{{}}")
    for number in range(3):
        files = scan((6, 4, 4)).write(tmp_path / "in" / PATIENT / f"b{number}", f"{PATIENT}_{{}}")
        files[2].unlink() if number else files[-1].write_bytes(files[-1].read_bytes()[:700])
    arguments = ["convert_dicom", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--verbose"]
    assert main(arguments) == 2
    printed = capfd.readouterr()
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert "3 of 4 cases failed:" in printed.err
    assert "1 unreadable file(s) beside its slices" in printed.err
    assert "MUELLER" not in printed.out + printed.err  # in no warning of ITK either


def test_another_modality_is_one_line(tmp_path, capsys):
    scan(modality="MR").write(tmp_path)
    assert main(["convert_dicom", "-i", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert "found 1 series of MR, expected CT" in printed
    assert printed.count("\n") == 1
    assert main(["convert_dicom", "-i", str(tmp_path), "-o", str(tmp_path / "out"), "--modality", "MR"]) == 0
