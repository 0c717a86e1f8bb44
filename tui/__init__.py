"""The terminal application of gatekeeper."""
