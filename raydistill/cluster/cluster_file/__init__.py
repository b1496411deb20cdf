"""The parts of the check of a `cluster.yaml`; see `raydistill/cluster/check.py`."""
