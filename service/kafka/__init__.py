"""The only files that talk to Kafka."""
