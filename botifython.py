"""Botifython: Pipulate for the users of Botify.

    python botifython.py                      serve, as `pipulate` does
    python botifython.py botify demo          the tour, without an account

An edition is a package of plugin files beside the bundled ones. The home remembers it, so that
`pipulate` serves the same afterwards.
"""

import os

from pipulate.__main__ import main

if __name__ == "__main__":
    os.environ.setdefault("PIPULATE_EDITION", "pipulate.botify.apps")
    main()
