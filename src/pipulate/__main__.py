"""The door: `python -m pipulate`. Next: doors/cli.py, web/run.py, web/server.py."""

from pipulate.doors.cli import main

if __name__ == "__main__":
    main()
