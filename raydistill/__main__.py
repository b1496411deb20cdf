"""`python -m raydistill`: the same as the command `raydistill`."""

from raydistill.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
