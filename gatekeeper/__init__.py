"""A gateway for Google's Gemini API. The wheel takes its version from here: to look it up in the installed
package's metadata took longer than all else that `--version` does."""

__version__ = "0.1.0"
