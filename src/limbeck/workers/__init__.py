"""Independent tasks: one after another in this process, or side by side in worker processes, here or on Ray."""

from limbeck.workers.crew import Crew, open_crew
from limbeck.workers.shards import run_shards

__all__ = ["Crew", "open_crew", "run_shards"]
