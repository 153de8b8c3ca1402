"""Self-configuration: rules that turn a data set's properties into plans, and the nnU-Net planner that writes them."""

from impulse_nnunet.planners.impulse_planner import ImPulSePlanner
from impulse_nnunet.planners.rules import DatasetProperties, plan_sizes

__all__ = ["DatasetProperties", "ImPulSePlanner", "plan_sizes"]
