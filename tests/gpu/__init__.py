"""What only a GPU can tell: `make gpu-check`. See `tests.gpu.__main__`; it needs no part of the service."""
