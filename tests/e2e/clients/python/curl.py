"""curl, as Google's documentation uses it."""

import subprocess

from driver import operation, run

FIRST = """
# recipe
curl -sS "$BASE/v1beta/models/gemini-2.5-flash:generateContent" -H "x-goog-api-key: $KEY" \\
  -H 'Content-Type: application/json' -d '{"contents":[{"parts":[{"text":"Tell me of bees"}]}]}'
# end of recipe
"""
JSON = """-H 'Content-Type: application/json' -d '{"contents":[{"parts":[{"text":"Tell me of bees"}]}]}'"""
FLASH = "$BASE/v1beta/models/gemini-2.5-flash"
UPLOAD = 'curl -sS "$BASE/upload/v1beta/files" -H "x-goog-api-key: $KEY" -H'
CALLS = {
    "key in a header": FIRST,
    "key in the query": f'curl -sS "{FLASH}:generateContent?key=$KEY" {JSON}',
    "key as bearer": f'curl -sS "{FLASH}:countTokens" -H "Authorization: Bearer $KEY" {JSON}',
    "stream of events": f'curl -sSN "{FLASH}:streamGenerateContent?alt=sse&key=$KEY" {JSON}',
    "stream of an array": f'curl -sSN "{FLASH}:streamGenerateContent?key=$KEY" {JSON}',
    "compressed": 'curl -sS --compressed "$BASE/v1beta/models?key=$KEY"',
    "HEAD": f"""curl -sSI -o /dev/null -w '%{{http_code}}' "{FLASH}?key=$KEY" """,
    "expect 100-continue": f"""printf '{{"contents":[{{"parts":[{{"text":"%3000000s"}}]}}]}}' bees |
curl -sS "{FLASH}:countTokens?key=$KEY" -H 'Content-Type: application/json' \\
  -H 'Expect: 100-continue' -d @-""",
    "HTTP/1.0": f'curl -sS --http1.0 "{FLASH}:countTokens?key=$KEY" {JSON}',
    "upload raw": f"""echo bees | {UPLOAD} 'X-Goog-Upload-Protocol: raw' \\
  -H 'Content-Type: text/plain' --data-binary @-""",
    "upload multipart": f"""{UPLOAD} 'X-Goog-Upload-Protocol: multipart' \\
  -H 'Content-Type: multipart/related; boundary=x' --data-binary '--x\r
Content-Type: application/json\r
\r
{{"file": {{"displayName": "bees"}}}}\r
--x\r
Content-Type: text/plain\r
\r
bees\r
--x--\r
'""",
    "upload resumable": f"""url=$({UPLOAD} 'X-Goog-Upload-Protocol: resumable' \\
  -H 'X-Goog-Upload-Command: start' -H 'X-Goog-Upload-Header-Content-Length: 10' \\
  -H 'X-Goog-Upload-Header-Content-Type: text/plain' -H 'Content-Type: application/json' \\
  -d '{{"file":{{"displayName":"bees"}}}}' -D - -o /dev/null |
  tr -d '\\r' | sed -n 's/^x-goog-upload-url: //Ip')
echo four | curl -sS "$url" -H 'X-Goog-Upload-Offset: 0' -H 'X-Goog-Upload-Command: upload' --data-binary @-
curl -sS "$url" -H 'X-Goog-Upload-Command: query' -X POST -D - | grep -i received
echo bees | curl -sS "$url" -H 'X-Goog-Upload-Offset: 5' -H 'X-Goog-Upload-Command: upload, finalize' \\
  --data-binary @-""",
    "error 404": f'curl -sS "$BASE/v1beta/models/bard-1:generateContent?key=$KEY" {JSON}',
    "unknown path": 'curl -sS -i "$BASE/v9/nobody/knows?key=$KEY" | head -1',
}


def said(call):
    lines = "".join(line for line in call.splitlines(keepends=True) if not line.startswith("#"))
    done = subprocess.run(["sh", "-c", lines], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "said": done.stdout, "error": done.stderr}


for name, call in CALLS.items():
    operation(lambda call=call: said(call), name)
run()
