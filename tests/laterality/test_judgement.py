import numpy as np

from impulse_nnunet.laterality.asymmetry import asymmetry, decode
from impulse_nnunet.laterality.judgement import (
    learn,
    looks_mirrored,
    prediction_summary,
    prediction_warning,
    training_warnings,
)
from tests.laterality.bodies import Z_Y_X, body

TRAINING = {f"case_{seed}": asymmetry(body(seed), Z_Y_X) for seed in range(10)}


def test_new_cases_agree_and_their_mirror_images_do_not():
    learned = decode(learn(TRAINING))
    for seed in range(100, 120):
        image = body(seed)
        assert not looks_mirrored(float(asymmetry(image, Z_Y_X) @ learned))
        assert looks_mirrored(float(asymmetry(image[..., ::-1], Z_Y_X) @ learned))


def test_nothing_is_learned_from_few_cases_or_from_images_without_sides():
    assert learn({case: TRAINING[case] for case in list(TRAINING)[:4]}) == ""
    rng = np.random.default_rng(0)
    noise = {f"case_{n}": asymmetry(rng.normal(size=(20, 20, 20)), Z_Y_X) for n in range(10)}
    assert learn(noise) == ""


def test_a_training_case_with_a_wrong_header_is_named():
    gaps = dict.fromkeys(TRAINING, 120.0) | {"case_3": -118.0}
    lines = training_warnings(gaps, TRAINING | {"case_3": -TRAINING["case_3"]})
    assert lines[0].startswith(
        "1 of 10 training cases have their right labels on the patient's left by their headers: ca"
    )
    assert lines[1] == "1 of 10 training images look mirrored beside the others: case_3; check them"
    assert training_warnings(dict.fromkeys(TRAINING, 120.0), TRAINING) == []
    assert training_warnings({}, {}) == []


def test_lines_of_a_prediction():
    assert prediction_summary({}) == ""
    assert prediction_summary({"a": 0.5, "b": 0.0}) == "left and right: no image of 2 looks mirrored"
    found = prediction_summary({"a": 0.5, "b": -0.4})
    assert found == "left and right: 1 of 2 images look mirrored: b; check their headers"
    assert prediction_warning("b", -0.4).startswith(
        "b: the image looks mirrored (left and right exchanged): its mirror"
    )
