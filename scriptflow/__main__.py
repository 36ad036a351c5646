"""Make ``python -m scriptflow`` the same as ``scriptflow``."""

import sys

from scriptflow.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
