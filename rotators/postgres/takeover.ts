import * as z from "zod/mini";
import { KeyturnError } from "../../core/errors.ts";
import type { Rotator } from "../../core/rotator.ts";
import type { Secret } from "../../core/secret.ts";
import { credentialFrom } from "./import-value.ts";

/** A credential that is there, as its type wants it. */
export interface Taken {
  readonly value: Secret;
  /** The login's name: what a person may read of it. */
  readonly login: string;
  /** The role that others act as; undefined where the login stays the only one. */
  readonly owner: string | undefined;
}

/** What every type of PostgreSQL has in its configuration. */
const AddressConfig = z.object({
  host: z.string(),
  port: z._default(z.number(), 5432),
  database: z.string(),
  owner: z.optional(z.string()),
});

const Named = z.object({ username: z.string() });

/** Asks for the value only where the type can take over what is there. Throws `request-refused` where it cannot. */
export async function takenOver(
  rotator: Rotator,
  config: unknown,
  given: () => Promise<Secret>,
): Promise<Taken> {
  rotator.checkConfig(config);
  const read = z.safeParse(AddressConfig, config);
  if (rotator.adopt === undefined || !read.success) {
    throw new KeyturnError("request-refused", `type ${rotator.type} cannot take over what is there`);
  }
  const { owner, ...address } = read.data;
  const value = credentialFrom(await given(), address);
  rotator.checkCredential(value);
  return { value, login: z.parse(Named, JSON.parse(value.reveal())).username, owner };
}
