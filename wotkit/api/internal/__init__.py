"""What other programs of the same installation ask, not clients: brokers, about MQTT."""
