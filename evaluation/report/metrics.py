"""How metrics are called and written: as ``impulse_nnunet compare`` does, but single cases have whole counts."""

from __future__ import annotations

from impulse_nnunet.evaluation.metric_names import direction
from impulse_nnunet.evaluation.metric_names import label as heading
from impulse_nnunet.evaluation.metric_names import shown as of_mean

__all__ = ["direction", "heading", "is_nsd", "of_case", "of_mean"]


def of_case(metric: str, value: float) -> str:
    """A number of one case: counts without decimals."""
    return f"{value:.0f}" if metric.startswith("NI") and float(value).is_integer() else of_mean(metric, value)


def is_nsd(metric: str) -> bool:
    """Whether this is a surface Dice at some tolerance."""
    return metric.startswith("NSD")
