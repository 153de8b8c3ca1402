import subprocess
import sys

from impulse_nnunet.cli.main import main
from tests.evaluation.report.folders import write_method


def test_a_report_into_a_new_folder(capsys, tmp_path):
    folder = write_method(tmp_path, dices=(0.5,))
    output = tmp_path / "a" / "b" / "report.html"
    arguments = ["report", f"mine={folder}", "-o", str(output), "--cases", "c0", "--no_3d", "--title", "My title"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{output} ({output.stat().st_size / 1e6:.1f} MB)\n"
    page = output.read_text(encoding="utf-8")
    assert "<title>My title</title>" in page
    assert "mine" in page


def test_a_folder_that_was_not_evaluated(capsys, tmp_path):
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"impulse_nnunet: {tmp_path}: found no summary.json")
    assert printed.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


def test_help_imports_neither_pyvista_nor_torch():
    program = (
        "import sys\n"
        "from impulse_nnunet.cli.main import main\n"
        "for arguments in (['--help'], ['report', '--help']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0\n"
        "loaded = {'pyvista', 'vtk', 'jinja2', 'matplotlib', 'torch'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_the_page_s_modules_do_not_import_pyvista():
    """Only the child process that draws does: VTK may crash where there is no OpenGL."""
    program = "import sys, impulse_nnunet.evaluation.report.page; assert not {'pyvista', 'vtk'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert "nothing: found no such folder, expected a folder of predictions" in capsys.readouterr().err
