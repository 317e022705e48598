import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import * as z from "zod/mini";
import { type AwsConfig, awsConfig } from "./aws-config.ts";

/**
 * A model of ours of KMS, for the SDK to speak to, as AWS documents it, of the operations that the audit's keys need. It is stricter than emulators are: what
 * it does not know is refused. It is here because the emulator has no Ed25519; it checks no signatures of requests and no policies.
 */
export interface KmsModel extends AsyncDisposable {
  readonly config: AwsConfig;
  /** The operations that it was asked for, in their order. */
  readonly asked: string[];
  /** From now on the operation fails that many times, with that error. */
  fail(operation: string, error: string, times: number): void;
}

interface ModelKey {
  readonly arn: string;
  readonly pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  state: "Enabled" | "Disabled" | "PendingDeletion";
}

class Refusal extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

const aliasName = z.string().check(z.regex(/^alias\/(?!aws\/)[a-zA-Z0-9/_-]{1,250}$/));
const keyId = z.string();

class Kms {
  readonly #keys = new Map<string, ModelKey>();
  readonly #aliases = new Map<string, string>();

  /** Each by its name: what it takes, and what it does. Other members in a request are refused. */
  readonly operations: Readonly<Record<string, (input: unknown) => unknown>> = {
    CreateKey: operation(
      z.strictObject({
        KeySpec: z.literal("ECC_NIST_EDWARDS25519"),
        KeyUsage: z.literal("SIGN_VERIFY"),
        Description: z.optional(z.string().check(z.maxLength(8192))),
      }),
      () => {
        const id = randomUUID();
        const arn = `arn:aws:kms:us-east-1:000000000000:key/${id}`;
        this.#keys.set(id, { arn, pair: generateKeyPairSync("ed25519"), state: "Enabled" });
        return { KeyMetadata: this.#metadata(id) };
      },
    ),
    CreateAlias: operation(
      z.strictObject({ AliasName: aliasName, TargetKeyId: keyId }),
      ({ AliasName, TargetKeyId }) => {
        const [id, key] = this.#byId(TargetKeyId);
        if (this.#aliases.has(AliasName)) throw new Refusal("AlreadyExistsException", AliasName);
        refuseEnding(key);
        this.#aliases.set(AliasName, id);
        return {};
      },
    ),
    UpdateAlias: operation(
      z.strictObject({ AliasName: aliasName, TargetKeyId: keyId }),
      ({ AliasName, TargetKeyId }) => {
        if (!this.#aliases.has(AliasName)) throw new Refusal("NotFoundException", AliasName);
        const [id, key] = this.#byId(TargetKeyId);
        refuseEnding(key);
        this.#aliases.set(AliasName, id);
        return {};
      },
    ),
    DeleteAlias: operation(z.strictObject({ AliasName: aliasName }), ({ AliasName }) => {
      if (!this.#aliases.delete(AliasName)) throw new Refusal("NotFoundException", AliasName);
      return {};
    }),
    DescribeKey: operation(z.strictObject({ KeyId: keyId }), ({ KeyId }) => ({
      KeyMetadata: this.#metadata(this.#byName(KeyId)[0]),
    })),
    GetPublicKey: operation(z.strictObject({ KeyId: keyId }), ({ KeyId }) => {
      const [, key] = this.#byName(KeyId);
      refuseUnusable(key);
      return {
        KeyId: key.arn,
        KeySpec: "ECC_NIST_EDWARDS25519",
        KeyUsage: "SIGN_VERIFY",
        PublicKey: key.pair.publicKey.export({ format: "der", type: "spki" }).toString("base64"),
        SigningAlgorithms: ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
      };
    }),
    Sign: operation(
      z.strictObject({
        KeyId: keyId,
        Message: z.base64(),
        MessageType: z.literal("RAW"),
        SigningAlgorithm: z.literal("ED25519_SHA_512"),
      }),
      ({ KeyId, Message, SigningAlgorithm }) => {
        const [, key] = this.#byName(KeyId);
        refuseUnusable(key);
        const bytes = Buffer.from(Message, "base64");
        if (bytes.length < 1 || bytes.length > 4096) throw new Refusal("ValidationException", "the length");
        const signature = sign(null, bytes, key.pair.privateKey);
        return { KeyId: key.arn, Signature: signature.toString("base64"), SigningAlgorithm };
      },
    ),
    ScheduleKeyDeletion: operation(
      z.strictObject({
        KeyId: keyId,
        PendingWindowInDays: z.number().check(z.int(), z.minimum(7), z.maximum(30)),
      }),
      ({ KeyId, PendingWindowInDays }) => {
        const [, key] = this.#byId(KeyId);
        refuseEnding(key);
        key.state = "PendingDeletion";
        return { KeyId: key.arn, KeyState: key.state, PendingWindowInDays };
      },
    ),
    CancelKeyDeletion: operation(z.strictObject({ KeyId: keyId }), ({ KeyId }) => {
      const [, key] = this.#byId(KeyId);
      if (key.state !== "PendingDeletion") throw new Refusal("KMSInvalidStateException", key.arn);
      key.state = "Disabled";
      return { KeyId: key.arn };
    }),
    DisableKey: operation(z.strictObject({ KeyId: keyId }), ({ KeyId }) => {
      const [, key] = this.#byId(KeyId);
      refuseEnding(key);
      key.state = "Disabled";
      return {};
    }),
  };

  /** By id or ARN, as most operations on a key itself want it. */
  #byId(name: string): [string, ModelKey] {
    const id = name.replace(/^arn:aws:kms:[^:]+:\d+:key\//, "");
    const key = this.#keys.get(id);
    if (key === undefined) throw new Refusal("NotFoundException", name);
    return [id, key];
  }

  /** By alias, too. */
  #byName(name: string): [string, ModelKey] {
    if (!name.startsWith("alias/")) return this.#byId(name);
    return this.#byId(this.#aliases.get(name) ?? name);
  }

  #metadata(id: string) {
    const [, { arn, state }] = this.#byId(id);
    const usage = { KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" };
    return { KeyId: id, Arn: arn, KeyState: state, Enabled: state === "Enabled", ...usage };
  }
}

function operation<Input>(
  schema: z.ZodMiniType<Input>,
  work: (input: Input) => unknown,
): (input: unknown) => unknown {
  return (input) => {
    const parsed = schema.safeParse(input);
    if (!parsed.success) throw new Refusal("ValidationException", z.prettifyError(parsed.error));
    return work(parsed.data);
  };
}

function refuseEnding({ state, arn }: ModelKey): void {
  if (state === "PendingDeletion")
    throw new Refusal("KMSInvalidStateException", `${arn} is pending deletion`);
}

function refuseUnusable(key: ModelKey): void {
  refuseEnding(key);
  if (key.state === "Disabled") throw new Refusal("DisabledException", `${key.arn} is disabled`);
}

export async function startKmsModel(): Promise<KmsModel> {
  const kms = new Kms();
  const asked: string[] = [];
  const failing: { operation: string; error: string; times: number }[] = [];
  const answer = (name: string, body: string): unknown => {
    asked.push(name);
    const fails = failing.find(({ operation: of, times }) => of === name && times > 0);
    if (fails !== undefined) {
      fails.times -= 1;
      throw new Refusal(fails.error, "canary-in-a-message");
    }
    const work = kms.operations[name];
    if (work === undefined) throw new Refusal("UnknownOperationException", name);
    return work(JSON.parse(body));
  };
  const server = createServer(async (request, response) => {
    const name = String(request.headers["x-amz-target"]).replace("TrentService.", "");
    const body = await text(request);
    response.setHeader("content-type", "application/x-amz-json-1.1");
    try {
      response.end(JSON.stringify(answer(name, body)));
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      response.statusCode = 400;
      response.end(JSON.stringify({ __type: thrown.type, message: thrown.message }));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the model has no port");
  return {
    config: awsConfig(`http://127.0.0.1:${address.port}`),
    asked,
    fail: (of, error, times) => failing.push({ operation: of, error, times }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
