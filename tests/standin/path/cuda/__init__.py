"""As the package cuda-bindings has it."""
