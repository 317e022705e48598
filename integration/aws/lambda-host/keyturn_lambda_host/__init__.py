"""What LocalStack lacks where there is no Docker. It finds this package by its entry points, once it is on the path."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class HostExecutorPlugin(RuntimeExecutorPlugin):
    """Chosen by LAMBDA_RUNTIME_EXECUTOR=host."""

    name = "host"

    def load(self, *args, **kwargs):
        from keyturn_lambda_host.executor import HostExecutor

        return HostExecutor
