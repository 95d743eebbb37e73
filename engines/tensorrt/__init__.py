"""TensorRT: which shapes are planned for, what makes a plan valid, where plans are kept, how they run."""
