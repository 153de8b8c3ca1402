import numpy as np

from impulse_nnunet.phantom.patient import draw_patient, from_standard, warp_at
from impulse_nnunet.phantom.settings import PhantomSettings


def test_the_warp_is_inverted():
    patient = draw_patient(PhantomSettings(), 3)
    standard = np.random.default_rng(0).uniform([0, -90, -120], [240, 90, 120], (200, 3))
    there = from_standard(standard, patient.body, patient.warp)
    assert np.abs(warp_at(there, patient.body, patient.warp) - standard).max() < 1e-3
    assert np.abs(there - standard).max() > 3


def test_drawn_lobe_shares_follow_the_literature():
    shares = 100 * np.mean([draw_patient(PhantomSettings(), case).lobe_shares for case in range(300)], axis=0)
    # PMC7490509: 17.9, 9.3, 26.5, 23.1, 23.2 %; the standard error of 300 draws is below 0.16
    assert np.abs(shares - [17.9, 9.3, 26.5, 23.1, 23.2]).max() < 0.5


def test_segment_shares_sum_to_one_in_each_lobe():
    shares = draw_patient(PhantomSettings(), 1).segment_shares
    for first, last in ((1, 3), (4, 5), (6, 10), (11, 14), (15, 18)):
        assert abs(shares[first : last + 1].sum() - 1) < 1e-12


def test_anomalies_are_missing_or_fused_segments():
    kinds = {draw_patient(PhantomSettings(anomalies=1), case).anomaly.split()[1] for case in range(40)}
    assert kinds == {"missing", "fused"}
    for case in range(40):
        patient = draw_patient(PhantomSettings(anomalies=1), case)
        missing = int((patient.segment_shares[1:] == 0).sum())
        renamed = int((patient.renamed != np.arange(19)).sum())
        assert missing + renamed == 1
    assert all(draw_patient(PhantomSettings(), case).anomaly == "" for case in range(40))


def test_options_do_not_change_the_patient():
    plain, other = (
        draw_patient(PhantomSettings(contrast=c, disconnected=s), 5) for c, s in (("none", 0), ("contrast", 1))
    )
    assert plain.body == other.body
    assert np.array_equal(plain.segment_shares, other.segment_shares)
    assert (plain.contrast, other.contrast) == (False, True)
