"""MQTT: gateways publish readings and receive commands with the keys they use over HTTP."""
