"""The client of the Gemini API: a pool of HTTP/1.1 and WebSocket connections, over TCP or TLS. Knows nothing
of calls."""
