"""The test bed: a cluster of real hosts on one machine; `make cluster-test`.

Hosts are sets of Linux namespaces (`hosts.py`) on a bridge of their own (`network.py`), with
nothing between them but that bridge: they share no address, no process, no temporary folder and no
disk that they can write. `bed.py` starts and removes them, `cluster.py` runs `ray up` on them from
one more of them, and `bucket.py` gives them an S3-compatible server that fails when told to.
"""
