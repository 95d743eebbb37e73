"""Models and inference; knows nothing of Kafka."""
