import matplotlib.image
import pytest

from impulse_nnunet.training.curves import TensorBoardLogger, plot_template_curve


@pytest.mark.parametrize("steps", [1, 3, 200])
def test_a_picture_is_written(tmp_path, steps):
    plot_template_curve([1 / (i + 1) for i in range(steps)], tmp_path / "curve.png")
    picture = matplotlib.image.imread(tmp_path / "curve.png")
    assert picture.shape[:2] == (600, 1080)  # 9 x 5 inches at 120 dots an inch
    assert picture.std() > 0  # something is drawn


@pytest.mark.parametrize(("value", "enabled"), [("1", True), ("True", True), ("0", False), ("", False)])
def test_tensorboard_is_asked_for_by_the_environment(monkeypatch, value, enabled):
    monkeypatch.setenv("impulse_tensorboard_enabled", value)
    assert TensorBoardLogger.enabled() is enabled
