"""The desk: `make server`, `make deploy` and `make worker`."""
