"""HTTP/1.1 and WebSockets to the API: kept connections, over TCP or TLS. It knows nothing of calls."""
