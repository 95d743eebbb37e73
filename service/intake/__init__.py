"""From a Kafka record to rows a model can score, within limits."""
