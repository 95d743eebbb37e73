"""Making bundles: generate, train, calibrate, evaluate."""
