"""Tidegate: the daemon between Kafka and the fused model."""
