"""LocalStack's own server, on the addresses that it is told: by itself it listens on every interface."""

import functools

from localstack.runtime.server.core import RuntimeServerPlugin


class LoopbackServerPlugin(RuntimeServerPlugin):
    """Chosen by GATEWAY_SERVER=loopback."""

    name = "loopback"

    def load(self, *args, **kwargs):
        from localstack.runtime.server.twisted import TwistedRuntimeServer
        from rolo.serving.twisted import TwistedGateway
        from twisted.internet import endpoints, reactor
        from twisted.web import http

        # It reads the type of each request as that of a mail, which takes longer than all else that it reads; there are a handful of them.
        http._parseContentType = functools.lru_cache(http._parseContentType)

        class LoopbackServer(TwistedRuntimeServer):
            def register(self, gateway, listen, ssl_creds=None):
                # Without TLS: who asks it is on this machine.
                site = TwistedGateway(gateway)
                for at in listen:
                    endpoints.TCP4ServerEndpoint(reactor, at.port, interface=at.host).listen(site)

        return LoopbackServer()
