import { describe } from "vitest";
import { describeSecretStore, type Naming, type OpenedStore } from "../core/secret-store.contract.ts";
import type { Strictness } from "../integration/aws/strict-secrets-manager/secret.ts";
import { idOf, type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { awsSecretStore } from "./secret-store.ts";

/** `%` cannot be in a name; `+` can, and comes before `/` as well. */
const naming: Naming = { ref: (name) => name.replaceAll("%", "+"), version: idOf };

function openedIn(world: StrictWorld): OpenedStore {
  const store = awsSecretStore({
    client: world.client(),
    clock: { now: () => world.service.now() },
    log: () => undefined,
    create: { tags: { "keyturn:managed": "true" } },
  });
  return {
    store,
    close: () => world.server.stop(),
    reopen: async () => {
      await world.server.start();
      return openedIn(world);
    },
  };
}

describe.each<[string, Partial<Strictness>]>([
  ["that removes what has no label at once", {}],
  ["that keeps what has no label", { vanish: "later" }],
])("Secrets Manager %s", (_, strictness) => {
  describeSecretStore("AWS", async () => openedIn(await strictWorld(strictness)), {
    naming,
    createdAtSlackMs: 1_000,
  });
});
