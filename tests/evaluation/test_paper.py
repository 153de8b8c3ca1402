"""The paper's figures, against numbers typed from its tables a second time, and against what its text says of them."""

import pytest

from impulse_nnunet.evaluation.paper import METRICS, PAPER, Figure


@pytest.mark.parametrize(
    ("table", "row", "metric", "printed"),
    [
        ("1", "nnunet", "NIA", 52.36),
        ("1", "fcn", "IDB", 0.51),
        ("1", "deeplabv3", "NSD", 47.29),
        ("1", "lowres", "IDB", 3.97),
        ("1", "impulse", "Dice", 85.31),
        ("1", "plus", "IDA", 1.33),
        ("1", "template", "Dice", 60.28),
        ("2", "co_trained", "Dice", 84.60),
        ("2", "no_correction", "NSD", 60.35),
        ("2", "no_displacement_loss", "Dice", 86.06),
        ("2", "plus", "NSD", 63.17),
        ("3", "unet", "NSD", 63.67),
        ("3", "unet_encoder", "Dice", 85.42),
        ("4", "l_truth", "Dice", 74.17),
        ("4", "ibav", "Dice", 86.06),
        ("5", "impulse", "NSD", 43.39),
        ("5", "plus", "Dice", 82.43),
    ],
)
def test_figures_are_those_of_the_paper(table, row, metric, printed):
    assert PAPER[table][row][metric].mean == printed


def test_rows_that_tables_share_have_the_same_figures():
    # Table 1's ImPulSe+ is Table 2's T D C PT, Table 3's ResNet-18 the row with the loss on the displacement
    for metric in ("Dice", "NSD"):
        assert PAPER["1"]["plus"][metric].mean == PAPER["2"]["no_displacement_loss"][metric].mean
        assert PAPER["3"]["plus"][metric].mean == PAPER["2"]["plus"][metric].mean
        assert PAPER["1"]["impulse"][metric].mean == PAPER["2"]["impulse"][metric].mean
    assert PAPER["4"]["lbav"]["Dice"].mean == PAPER["5"]["plus"]["Dice"].mean


def test_only_known_metrics_and_the_deviations_that_are_printed():
    figures = {(t, r, m): f for t, rows in PAPER.items() for r, row in rows.items() for m, f in row.items()}
    assert {metric for _, _, metric in figures} <= set(METRICS)
    assert {key for key, figure in figures.items() if figure.sd is not None} == {
        ("1", row, metric) for row in ("impulse", "plus") for metric in ("Dice", "NSD")
    }
    assert str(Figure(86.06, 0.05)) == "86.06 ± 0.05"
    assert str(Figure(0.5)) == "0.50"
