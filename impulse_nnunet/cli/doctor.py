"""``impulse_nnunet doctor``."""

from __future__ import annotations

import argparse

DESCRIPTION = """Show versions, device and folders, and whether stock nnU-Net finds the trainer; exit code 1 if
something is missing."""
EXAMPLES = """example:
  impulse_nnunet doctor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print one line for each check."""
    from impulse_nnunet.nnunet.diagnosis import diagnose

    findings = diagnose()
    for finding in findings:
        print(f"[{'ok' if finding.ok else 'MISSING'}] {finding.what}: {finding.found}")
        if not finding.ok:
            print(f"          {finding.remedy}")
    missing = sum(not finding.ok for finding in findings)
    print("All checks passed." if not missing else f"{missing} thing(s) to fix.")
    return 1 if missing else 0
