"""The causality audit: garbage in place of the future must change nothing that is known by now."""
