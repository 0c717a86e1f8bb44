#!/usr/bin/env bash
# httptools says that a connection may be used again after a response that closes it, if that response has no body
# by its status, and leaves the white space behind a header's value in the value. 0.7.1 and 0.9.0.
#
# - `should_keep_alive()` is False after a 200 with `Connection: close`, also with `Content-Length: 0`, but True after
#   a 204 or 304: llhttp has forgotten the response's flags by then. A client that asks after `feed_data` sends its
#   next request into a connection that is being closed. Inside `on_headers_complete` the answer is right.
# - `X: a \t` is reported as the value `a \t`. By RFC 9112 §5 that white space is none of the value; a proxy that
#   compares values (`chunked`, `close`), or passes them on, has to strip it. White space before it is stripped.
#
# Output, and exit status 0 where that is so, 1 where httptools does otherwise:
#   0.7.1 200 at the end False, at the head False
#   0.7.1 204 at the end True, at the head False
#   0.7.1 304 at the end True, at the head False
#   0.7.1 value b'a \t'
#   0.9.0 200 at the end False, at the head False
#   0.9.0 204 at the end True, at the head False
#   0.9.0 304 at the end True, at the head False
#   0.9.0 value b'a \t'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import httptools


class Response:
    def on_headers_complete(self):
        self.at_head = self.parser.should_keep_alive()

    def on_header(self, name, value):
        self.value = value


for status in (200, 204, 304):
    response = Response()
    response.parser = httptools.HttpResponseParser(response)
    length = b"Content-Length: 0\r\n" if status == 200 else b""
    response.parser.feed_data(b"HTTP/1.1 %d X\r\nConnection: close\r\n%bX: \t a \t\r\n\r\n" % (status, length))
    at_end = response.parser.should_keep_alive()
    print(f"{httptools.__version__} {status} at the end {at_end}, at the head {response.at_head}")
print(f"{httptools.__version__} value {response.value}")
PYTHON
for version in 0.7.1 0.9.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "httptools==$version"
  "$folder/$version/bin/python" "$folder/look.py"
done | tee "$folder/seen"
sed -n 's/^#   \(0\.[0-9]\.[0-9] .*\)/\1/p' "$0" | diff - "$folder/seen"
