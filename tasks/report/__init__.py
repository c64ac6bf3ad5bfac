"""The backtest report: one self-contained HTML page and its pictures."""

from tasks.report.page import Fact, Lineage, write_report

__all__ = ["Fact", "Lineage", "write_report"]
