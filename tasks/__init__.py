"""Shells around the domain: read refs, compute, publish artifacts, show them."""
