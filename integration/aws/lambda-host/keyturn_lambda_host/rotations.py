"""LocalStack answers RotateSecret when all steps are over. The SDK does not wait that long, and asks again; LocalStack would begin once more under
the same token, and take the value from the version that is current by then. AWS begins a rotation once for a token."""

from localstack.runtime import hooks


@hooks.on_infra_start()
def begin_once_for_a_token():
    # It replaces the same method when it is loaded.
    import localstack.services.secretsmanager.provider  # noqa: F401
    from moto.secretsmanager.models import SecretsManagerBackend

    rotate = SecretsManagerBackend.rotate_secret

    def rotate_once(self, secret_id, client_request_token=None, *args, **kwargs):
        secret = self.secrets.get(secret_id) if self._is_valid_identifier(secret_id) else None
        stages = (
            secret.versions.get(client_request_token, {}).get("version_stages", [])
            if secret
            else []
        )
        if "AWSCURRENT" in stages or "AWSPREVIOUS" in stages:
            return secret.to_short_dict(version_id=client_request_token)
        return rotate(self, secret_id, client_request_token, *args, **kwargs)

    SecretsManagerBackend.rotate_secret = rotate_once
