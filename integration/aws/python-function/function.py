"""What a rotation function in Python has done before it can take an invocation; it says so, and ends."""

import boto3
import psycopg2

secrets = boto3.client("secretsmanager")


def handler(event, context):
    return psycopg2.connect(**secrets.get_secret_value(SecretId=event["SecretId"]))


print("ready", flush=True)
