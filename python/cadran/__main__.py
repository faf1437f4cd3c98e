"""`python -m cadran` is the command `cadran`."""

import sys

from cadran.cli import main

sys.exit(main())
