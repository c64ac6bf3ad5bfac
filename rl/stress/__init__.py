"""Stress: the same policy on the same hours with one thing made worse, and where its profit came from."""
