import pytest
from hypothesis import given
from hypothesis import strategies as st

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.shards import Shard, checked_shard, parse_shard, shard_of_array


@given(st.integers(0, 60), st.integers(1, 20))
def test_shards_cover_each_item_once_and_are_equal_within_one(number, count):
    shares = [Shard(index, count).of(range(number)) for index in range(count)]
    assert sorted(item for share in shares for item in share) == list(range(number))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_share_is_nnunets():
    # as nnUNetv2_predict shares a list: from part_id on in steps of num_parts
    assert Shard(1, 3).of("abcdefgh") == ["b", "e", "h"]


def slurm(task, count, first, last, step):
    names = ("ID", "COUNT", "MIN", "MAX", "STEP")
    return {f"SLURM_ARRAY_TASK_{n}": str(v) for n, v in zip(names, (task, count, first, last, step), strict=True)}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (slurm(0, 4, 0, 3, 1), Shard(0, 4)),  # --array=0-3
        (slurm(7, 3, 3, 11, 4), Shard(1, 3)),  # --array=3-11:4 has the tasks 3, 7, 11
        (slurm(6, 3, 2, 7, 2), Shard(2, 3)),  # --array=2-7:2 has the tasks 2, 4, 6
        (slurm(5, 1, 5, 5, 1), Shard(0, 1)),  # --array=5
        ({"SLURM_ARRAY_TASK_ID": "9"}, Shard(0, 1)),  # nothing else known: all cases
        ({"LSB_JOBINDEX": "1", "LSB_JOBINDEX_END": "8", "LSB_JOBINDEX_STEP": "1"}, Shard(0, 8)),  # name[1-8]
        ({"LSB_JOBINDEX": "5", "LSB_JOBINDEX_END": "9", "LSB_JOBINDEX_STEP": "2"}, Shard(2, 5)),  # name[1-9:2]
        (
            {"SGE_TASK_ID": "4", "SGE_TASK_FIRST": "2", "SGE_TASK_LAST": "10", "SGE_TASK_STEPSIZE": "2"},  # -t 2-10:2
            Shard(1, 5),
        ),
        ({"LSB_JOBINDEX": "0", "SGE_TASK_ID": "undefined"} | slurm(1, 2, 0, 1, 1), Shard(1, 2)),
    ],
)
def test_job_arrays(environment, expected):
    assert shard_of_array(environment) == expected
    assert parse_shard("auto", environment) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "`shard` auto: found no variable of a job array, expected SLURM_ARRAY_TASK_ID, LSB_JOBINDEX or SGE_TASK"),
        ({"LSB_JOBINDEX": "0", "SGE_TASK_ID": "undefined"}, "`shard` auto: found no variable of a job array"),
        (slurm(5, 3, 1, 9, 1), "SLURM_ARRAY_TASK_COUNT: found 3 tasks between 1 and 9, expected equal steps"),
        (slurm(5, 3, 1, 9, 4) | {"SLURM_ARRAY_TASK_ID": "6"}, "SLURM_ARRAY_TASK_ID: found 6, expected one of 1 to 9"),
        (slurm("x", 3, 1, 9, 4), "SLURM_ARRAY_TASK_ID: found 'x', expected a number, as the scheduler sets it"),
        ({"LSB_JOBINDEX": "2"}, "LSB_JOBINDEX_END: found no value, expected a number"),
        ({"PBS_ARRAY_INDEX": "3"}, r"PBS_ARRAY_INDEX: found 3, but PBS .*; give `shard` \$PBS_ARRAY_INDEX/N"),
    ],
)
def test_arrays_that_do_not_tell_the_shard(environment, message):
    with pytest.raises(InputError, match=message):
        shard_of_array(environment)


@pytest.mark.parametrize("text", ["", "3", "a/b", "-1/3", "1/3/4", "1 / 3", "AUTO"])
def test_bad_text(text):
    with pytest.raises(InputError, match=r"`shard`: found '.*', expected auto, or I/N with I from 0; e.g. `shard` 0/8"):
        parse_shard(text, {})


def test_numbers_out_of_range():
    assert parse_shard("3/4", {}) == Shard(3, 4)
    with pytest.raises(InputError, match="`shard`: found 4, expected 0 to 3 of 4; count shards from 0"):
        parse_shard("4/4", {})
    with pytest.raises(InputError, match="`part_id`: found 0 shards, expected 1 or more"):
        checked_shard(0, 0, "part_id")
