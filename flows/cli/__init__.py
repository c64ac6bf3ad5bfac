"""The command line; imports neither Prefect nor torch until a command runs."""
