"""LocalStack takes one batch of a queue after the other. AWS begins with five pollers a queue, and a batch that waits keeps up no other."""

from localstack.runtime import hooks

# Fewer than AWS's: each may need a process of the function at the same time.
POLLERS = 3
EMPTY_SECONDS = 1
FAILED_SECONDS = 2


@hooks.on_infra_start()
def poll_by_several():
    from localstack import config
    from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker
    from localstack.services.lambda_.event_source_mapping.pollers.poller import (
        EmptyPollResultsException,
    )
    from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller
    from localstack.utils.threads import FuncThread

    start = EsmWorker.start

    def poll(self, *_):
        # Its own poller tells what has gone wrong.
        while not self._shutdown_event.is_set():
            try:
                self.poller.poll_events()
                wait = config.LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC
            except EmptyPollResultsException:
                wait = EMPTY_SECONDS
            except Exception:
                wait = FAILED_SECONDS
            self._shutdown_event.wait(wait)

    def start_several(self):
        start(self)
        if isinstance(self.poller, SqsPoller):
            for number in range(1, POLLERS):
                FuncThread(
                    lambda *_: poll(self), name=f"event-source-mapping-poller-{self.uuid}-{number}"
                ).start()

    EsmWorker.start = start_several
