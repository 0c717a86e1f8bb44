import sys
from pathlib import Path

# What the tests share is imported as they import it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from e2e.clients.command import main

if __name__ == "__main__":
    sys.exit(main())
