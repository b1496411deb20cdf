"""An S3 server in a process of its own, and a proxy before it that injects faults and counts.

python -m tests.s3.server --port 9000
python -m tests.s3.faults http://127.0.0.1:9000 --port 9001
"""
