"""Independent pieces of work, here one after another or side by side by worker processes, on this machine or Ray's."""

from limbeck.workers.crew import Crew, open_crew
from limbeck.workers.shards import run_shards

__all__ = ["Crew", "open_crew", "run_shards"]
