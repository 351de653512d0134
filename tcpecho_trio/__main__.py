"""``python -m tcpecho_trio``."""

import sys

from tcpecho_trio.cli import main

if __name__ == "__main__":
    sys.exit(main())
