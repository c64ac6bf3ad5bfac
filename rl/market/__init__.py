"""The market as arrays: panel, slots, splits, scaler, generators."""
