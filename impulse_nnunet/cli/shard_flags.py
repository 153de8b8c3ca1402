"""The flags that share a cohort among calls, the same in each command that has them."""

from __future__ import annotations

import argparse
import os

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.shards import Shard, checked_shard, parse_shard


def add_shard_flags(parser: argparse.ArgumentParser) -> None:
    """Declare ``--shard`` and nnU-Net's ``-num_parts`` and ``-part_id``."""
    parser.add_argument("-num_parts", type=int, default=None, help="share the cases among this many calls")
    parser.add_argument("-part_id", type=int, default=None, help="which of them this call is, from 0")
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="the same in one flag, I from 0; auto: as the job array of Slurm, LSF or SGE says",
    )


def shard_from(options: argparse.Namespace) -> Shard | None:
    """The shard that the flags name; None without them.

    Raises:
        InputError: Two ways at once, one of a pair missing, or bad numbers.
    """
    pair = (options.num_parts, options.part_id)
    if options.shard is not None:
        if pair != (None, None):
            raise InputError("--shard", "-num_parts or -part_id too", "one of the two ways", "leave one out")
        return parse_shard(options.shard, os.environ)
    if pair == (None, None):
        return None
    count = 1 if options.num_parts is None else options.num_parts
    return checked_shard(options.part_id or 0, count, "part_id")
