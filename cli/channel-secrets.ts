import { hostname } from "node:os";
import { KeyturnError } from "../core/errors.ts";
import type { ReadSecret } from "../notify/channel-secret.ts";
import type { Sender } from "../notify/message.ts";
import type { OpenManifest, OpenStore } from "./open.ts";

/** Reads what channels need from whichever store keeps it. */
export function channelSecrets(opened: OpenManifest): ReadSecret {
  return async (ref, stage) => {
    const { manifest } = opened;
    const name = manifest.held.get(ref)?.store ?? manifest.secrets.get(ref)?.store;
    if (name === undefined) throw new KeyturnError("manifest-invalid", `the manifest has no secret ${ref}`);
    const { ports } = await opened.store(name);
    return ports.store.read(ref, stage);
  };
}

/** Who speaks, as receivers are told. */
export function senderOf({ name, ports }: OpenStore): Sender {
  return { installation: ports.installation, host: hostname(), store: name };
}
