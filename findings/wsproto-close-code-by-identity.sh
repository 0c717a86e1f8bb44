#!/usr/bin/env bash
# wsproto 1.3.2 sends a Close frame without a code for `CloseConnection(CloseReason.NO_STATUS_RCVD)`, and one with the
# code 1000 for `CloseConnection(1005)`, though both are equal: CloseReason is an IntEnum, and the code is compared by
# identity. And it has no member for 1014 (bad gateway, in IANA's registry): a peer's Close frame with that
# code is a protocol error to it, though 1012 and 1013, which stand beside it, are known.
#
# A proxy that keeps the code of one side's Close frame as a number, and closes the other side by it, so says that all
# was well (1000) where nothing was said (RFC 6455 §7.1.5), and breaks off where a server behind it says 1014.
#
# Output, and exit status 0 where that is so, 1 where wsproto does otherwise:
#   equal True
#   the member: 8800
#   the number: 880203e8
#   received 1013: TRY_AGAIN_LATER
#   received 1014: PROTOCOL_ERROR CLOSE with unknown reserved code
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q wsproto==1.3.2
cat >"$folder/look.py" <<'PYTHON'
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

print("equal", CloseReason.NO_STATUS_RCVD == 1005)
for name, code in (("member", CloseReason.NO_STATUS_RCVD), ("number", 1005)):
    server = Connection(ConnectionType.SERVER)
    print(f"the {name}: {bytes(server.send(CloseConnection(code))).hex()}")
for code in (1013, 1014):
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(b"\x88\x02" + code.to_bytes(2, "big"))
    (event,) = client.events()
    print(f"received {code}: {CloseReason(event.code).name} {event.reason or ''}".rstrip())
PYTHON
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
sed -n '/^# Output/,/^set/s/^#   \(.*\)/\1/p' "$0" | diff - "$folder/seen"
