"""Init hook of the LocalStack container: makes the queues of queues.json, as create-queues.ts does from outside."""

import json
import os

import boto3

with open(os.environ["QUEUES_FILE"], encoding="utf-8") as file:
    declared = json.load(file)

port = os.environ.get("GATEWAY_LISTEN", "127.0.0.1:4566").split(",")[0].rpartition(":")[2]
sqs = boto3.client(
    "sqs",
    endpoint_url=f"http://127.0.0.1:{port}",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
for queue in declared["queues"]:
    sqs.create_queue(QueueName=queue["name"], Attributes=queue["attributes"])
