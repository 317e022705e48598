import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Stage, StoredSecret } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";

/** Reads a secret of the manifest from the store that keeps it. Absent is undefined. */
export type ReadSecret = (ref: string, stage: Stage) => Promise<StoredSecret | undefined>;

const Held = z.object({ value: z.string().check(z.minLength(1)) });

/** What a channel needs and the manifest only names: read for each message, so that a new one counts at once. */
export async function channelSecret(ref: string, channel: string, read: ReadSecret): Promise<StoredSecret> {
  const stored = await read(ref, "current");
  if (stored !== undefined) return { ...stored, value: held(stored, channel) };
  throw new KeyturnError(
    "secret-missing",
    `the secret ${ref} of channel ${channel} is not stored: give it to \`keyturn put ${ref}\` on standard input`,
  );
}

/** The one before, for as long as a receiver may still have it. */
export async function formerSecret(
  ref: string,
  channel: string,
  read: ReadSecret,
): Promise<Secret | undefined> {
  const stored = await read(ref, "previous");
  return stored && held(stored, channel);
}

function held({ ref, value }: StoredSecret, channel: string): Secret {
  const parsed = z.safeParse(Held, json(value));
  if (parsed.success) return new Secret(parsed.data.value.trim());
  throw new KeyturnError(
    "credential-invalid",
    `the secret ${ref} of channel ${channel} is not of the form { "value": "…" }`,
  );
}

/** A parser's message quotes what it could not read. */
function json(value: Secret): unknown {
  try {
    return JSON.parse(value.reveal());
  } catch {
    return undefined;
  }
}
