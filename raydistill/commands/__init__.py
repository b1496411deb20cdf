"""The subcommands of `raydistill`, a module each: its settings and the function that does it.

`raydistill --help` imports all of them, and is to answer at once. A module here therefore imports
at its top nothing but what is light; torch, Ray and whatever needs them are imported inside the
function that does the work.
"""
