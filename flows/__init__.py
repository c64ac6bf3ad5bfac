"""Wiring only: flows, their parameters, the command line."""

from flows import settings

settings.apply()  # before any module of this package imports prefect
