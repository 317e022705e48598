import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import type { Clock, Log, SecretStore } from "../core/ports.ts";
import type { DeployedSecrets } from "../manifest/deployment.ts";
import { clientsByAccount, readRoles } from "./accounts.ts";
import { callLimits } from "./call-limits.ts";
import { RotationTokens } from "./native-rotation.ts";
import { routedStore } from "./routed-store.ts";
import { awsSecretStore } from "./secret-store.ts";
import { assertTagged, namingTags, tagsOf } from "./secret-tags.ts";

interface SecretsOptions {
  readonly deployed: DeployedSecrets;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
}

/** The way to the secrets of an installation. */
interface OpenSecrets {
  readonly store: SecretStore;
  /** In the installation's own account. */
  readonly client: SecretsManagerClient;
  /** The one that a secret is reached by, in whichever account it is. */
  readonly clientOf: (ref: string) => SecretsManagerClient;
  /** Has work on a secret say what it most likely lacks, where AWS refuses it. */
  readonly naming: <Result>(ref: string, work: () => Promise<Result>) => Promise<Result>;
  /** Throws where secrets lack the tags that the functions' rights go by. */
  readonly assertTagged: () => Promise<void>;
  readonly rotationTokens: RotationTokens;
}

/** Asks nobody anything. Throws `config-invalid` where the environment's roles are none. */
export function openSecrets({ deployed, environment, clock, log }: SecretsOptions): OpenSecrets {
  const { installation, account, region, accountOf, secrets, secretsBy } = deployed;
  const client = new SecretsManagerClient(callLimits);
  const rotationTokens = new RotationTokens();
  const clientOf = clientsByAccount({
    own: { account, client },
    accountOf,
    roleFor: readRoles(environment.KEYTURN_ROLES),
    region,
    open: (credentials) => new SecretsManagerClient({ ...callLimits, credentials }),
    session: environment.AWS_LAMBDA_FUNCTION_NAME ?? `keyturn-${installation}`,
    remedy: "deploy KeyturnAccount in that account for this installation, and the installation again",
  });
  const stores = new Map<SecretsManagerClient, SecretStore>();
  // One for each client: it reads by one call what is asked for at the same moment.
  const storeBy = (by: SecretsManagerClient): SecretStore => {
    const known = stores.get(by);
    if (known !== undefined) return known;
    const rotationToken = (_: string, rotationId: string) => rotationTokens.of(rotationId);
    const store = awsSecretStore({ client: by, clock, log, rotationToken });
    stores.set(by, store);
    return store;
  };
  // In other accounts rights go by names always.
  const refs = secretsBy === "tag" ? secrets.refs().filter((ref) => accountOf(ref) === account) : [];
  const byTag = refs.flatMap((ref) => secrets.get(ref) ?? []);
  const tags = new Map(byTag.map((secret) => [secret.ref, tagsOf(installation, secret)]));
  const naming: OpenSecrets["naming"] = (ref, work) => namingTags(tags.get(ref), work);
  return {
    store: routedStore((ref) => storeBy(clientOf(ref)), storeBy(client).list, naming),
    client,
    clientOf,
    naming,
    assertTagged: async () => {
      if (byTag.length > 0) await assertTagged(client, installation, byTag);
    },
    rotationTokens,
  };
}
