"""The terminal application of gatekeeper, and the client of the admin API that the command line shares."""
