"""A folder of a run, a comparison, a probe or a selection becomes one HTML file that needs no network and no scripts.

Example:
    >>> from limbeck.report import write_run_report
    >>> str(write_run_report("runs/teacher"))
    'runs/teacher/report.html'
"""

from limbeck.report.comparison import write_comparison_report, write_tables
from limbeck.report.figures.frontier import frontier_chart, frontier_svg
from limbeck.report.merged_page import write_merged_report
from limbeck.report.probe import write_probe_report
from limbeck.report.run import write_run_report
from limbeck.report.sentences import headline
from limbeck.report.set_accuracy import write_set_report
from limbeck.report.transfer_set.compare_page import write_selections_report
from limbeck.report.transfer_set.page import write_selection_report
from limbeck.report.vega import prepare_pages

__all__ = [
    "frontier_chart",
    "frontier_svg",
    "headline",
    "prepare_pages",
    "write_comparison_report",
    "write_merged_report",
    "write_probe_report",
    "write_run_report",
    "write_selection_report",
    "write_selections_report",
    "write_set_report",
    "write_tables",
]
