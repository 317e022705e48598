"""LocalStack would download a DynamoDB Local and a Java for it, and start them. This one is there already."""

import os

from localstack.runtime import hooks


@hooks.on_infra_start(should_load="DYNAMODB_LOCAL_PORT" in os.environ)
def use_running_dynamodb():
    """It is started and ended by whoever started LocalStack, and serves at DYNAMODB_LOCAL_PORT."""
    from localstack.services.dynamodb.server import DynamodbServer

    DynamodbServer.start_dynamodb = lambda self: True
    DynamodbServer.stop_dynamodb = lambda self: None
