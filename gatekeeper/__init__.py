"""A gateway for Google's Gemini API. The wheel's version is read from here: looking it up in the installed
package's metadata took longer than the rest of `--version`."""

__version__ = "0.1.0"
