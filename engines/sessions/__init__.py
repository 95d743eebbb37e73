"""One graph on one backend."""
