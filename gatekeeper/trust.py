"""Which certificates of an upstream are believed: one answer for `serve` and for `doctor`."""

from __future__ import annotations

import ssl
import sys

import truststore


def tls_context() -> ssl.SSLContext:
    """The operating system's trust, HTTP/1.1 only.

    On Linux OpenSSL itself finds the system's certificates, and its own context is taken: truststore reads
    them anew for each connection, 23 ms of CPU against 1.
    """
    found = ssl.get_default_verify_paths()
    if sys.platform == "linux" and (found.cafile or found.capath):
        context = ssl.create_default_context()
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A server may choose HTTP/2 where it is offered, and the connection speaks HTTP/1.1 only.
    context.set_alpn_protocols(["http/1.1"])
    return context
