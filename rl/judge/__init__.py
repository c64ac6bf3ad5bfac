"""Judgement: metrics and gates."""
