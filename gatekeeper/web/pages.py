"""The two pages: sign-in and terminal. Nothing in them is loaded from elsewhere."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: dark light; --text: #e4e7ec; --ground: #10141a; --accent: #5fd0df; --error: #f0743a; }
@media (prefers-color-scheme: light) {
  .page { --text: #16191d; --ground: #fbfbf8; --accent: #00577a; --error: #a63d00; }
}
@font-face { font-family: "Roboto Mono"; src: url("static/fonts/RobotoMono-VariableFont_wght.ttf"); }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { background: var(--ground); color: var(--text); font: 16px/1.5 "Roboto Mono", monospace; }
.page, .notice { display: grid; place-items: center; height: 100%; }
form, .notice div { width: min(32rem, 90vw); }
h1 { font-size: 1.25rem; margin: 0 0 1rem; background: none; color: inherit; }
label { display: block; margin: 0 0 .25rem; }
input, button { font: inherit; padding: .5rem .75rem; border: 1px solid currentColor; border-radius: 0; }
input { width: 100%; background: transparent; color: inherit; margin: 0 0 1rem; }
button { background: var(--accent); color: var(--ground); border-color: var(--accent); cursor: pointer; }
button.other { background: transparent; color: var(--text); border-color: var(--text); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.error { color: var(--error); }
#terminal { position: fixed; inset: 0; padding: .25rem; }
.notice { position: fixed; inset: 0; background: var(--ground); z-index: 1; }
body.terminal { background: #10141a; }
.ended, body.-first-byte .starting, body.-closed .starting { display: none; }
body.-closed .ended { display: grid; }
.ended form, .ended a { display: inline-block; width: auto; margin: 0 1rem 0 0; }
"""

SIGN_IN = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gatekeeper: sign in</title>
<link rel="icon" href="data:,">
<style nonce="{nonce}">{style}</style>
</head>
<body class="page">
<form method="post" action="sign-in">
<h1>gatekeeper</h1>
{error}
<label for="key">The master key, or a key with a role</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
</body>
</html>
"""

# The script of textual-serve looks for `#terminal`, sets classes of `body`, and measures the font at `load`.
TERMINAL = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>gatekeeper</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/css/xterm.css">
<style nonce="{nonce}">{style}</style>
</head>
<body class="terminal">
<div id="terminal" class="textual-terminal" data-font-size="16"></div>
<div class="notice starting"><div>◌ starting the terminal application…</div></div>
<div class="notice ended"><div>
<h1>The terminal application has ended.</h1>
<form method="get" action="."><button id="again">Open it again</button></form>
{sign_out}
</div></div>
<script nonce="{nonce}">
const address = new URL("terminal", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
document.getElementById("terminal").dataset.sessionWebsocketUrl = address.href;
// What the application copies; browsers permit it on https and localhost.
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {{
  constructor(...given) {{
    super(...given);
    this.addEventListener("message", ({{data}}) => {{
      const [kind, text] = typeof data === "string" ? JSON.parse(data) : [];
      if (kind === "copy") navigator.clipboard?.writeText(text);
    }});
  }}
}};
// What is typed goes to the terminal, without a click on it; after its end to the button.
new MutationObserver(() => {{
  const ended = document.body.classList.contains("-closed");
  document.querySelector(ended ? "#again" : ".xterm-helper-textarea")?.focus();
}}).observe(document.body, {{attributes: true}});
</script>
<script src="static/js/textual.js" nonce="{nonce}"></script>
</body>
</html>
"""

SIGN_OUT = '<form method="post" action="sign-out"><button class="other">Sign out</button></form>'


def sign_in_page(nonce: str, error: str = "") -> str:
    """The page that asks for a key, with what was wrong with the last one."""
    told = f'<p class="error" role="alert">✗ {escape(error)}</p>' if error else ""
    return SIGN_IN.format(nonce=nonce, style=STYLE, error=told)


def terminal_page(nonce: str, signed_in: bool) -> str:
    """The page of a terminal."""
    return TERMINAL.format(nonce=nonce, style=STYLE, sign_out=SIGN_OUT if signed_in else "")


def content_policy(nonce: str) -> str:
    """The Content-Security-Policy of both pages: xterm.js sets styles of elements that it makes."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; font-src 'self'; "
        f"connect-src 'self'; img-src data:; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'"
    )
