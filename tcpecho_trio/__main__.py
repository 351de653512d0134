"""``python -m tcpecho_trio``."""

import sys

if __name__ == "__main__":
    try:
        from tcpecho_trio.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # while there was nothing yet that could say so
        sys.exit(1)
