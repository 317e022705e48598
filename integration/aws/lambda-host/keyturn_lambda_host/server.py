"""LocalStack's own server, on the addresses that it is told: by itself it listens on every interface."""

from localstack.runtime.server.core import RuntimeServerPlugin


class LoopbackServerPlugin(RuntimeServerPlugin):
    """Chosen by GATEWAY_SERVER=loopback."""

    name = "loopback"

    def load(self, *args, **kwargs):
        from localstack.runtime.server.twisted import TwistedRuntimeServer
        from rolo.serving.twisted import TwistedGateway
        from twisted.internet import endpoints, reactor

        class LoopbackServer(TwistedRuntimeServer):
            def register(self, gateway, listen, ssl_creds=None):
                # Without TLS: who asks it is on this machine.
                site = TwistedGateway(gateway)
                for at in listen:
                    endpoints.TCP4ServerEndpoint(reactor, at.port, interface=at.host).listen(site)

        return LoopbackServer()
