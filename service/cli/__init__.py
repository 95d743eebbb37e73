"""The verbs of the `tidegate` command."""
