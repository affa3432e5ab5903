"""A local object store that speaks S3, with one empty bucket, until stdin ends. Prints its address."""

import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
address = f"http://{host}:{port}"
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="bucket")
print(address, flush=True)  # noqa: T201 — its protocol
sys.stdin.read()
