"""The networks: towers, fusion heads, losses."""
