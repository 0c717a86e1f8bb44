"""The terminal application in a browser (the extra `web`): its pages, its sign-in, and its terminals."""
