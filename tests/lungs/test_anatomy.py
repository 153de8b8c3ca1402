from impulse_nnunet.lungs.anatomy import BAV, LOBE_CODES, lobe_lists, segment_labels


def test_segments_and_lobes_of_the_paper():
    # right S1..S10 are 1..10; left S1+2, S3, S4, S5, S6, S7+8, S9, S10 are 11..18
    labels = segment_labels()
    assert list(labels.values()) == list(range(19))
    assert (labels["right S10"], labels["left S1+2"], labels["left S7+8"], labels["left S10"]) == (10, 11, 16, 18)
    lobes = lobe_lists()
    assert list(LOBE_CODES.values()) == ["RUL", "RML", "RLL", "LUL", "LLL"]
    assert list(lobes) == list(LOBE_CODES)
    assert list(lobes.values()) == [[1, 2, 3], [4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14], [15, 16, 17, 18]]
    assert BAV == ("bronchus", "artery", "vein")
