"""What a table, a config and a manifest is; no Prefect, no learning."""
