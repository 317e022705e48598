import {
  CreateSecretCommand,
  GetSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, expect, test } from "vitest";
import { translateAws } from "../functions/aws-errors.ts";
import { awsConfig } from "../integration/aws/aws-config.ts";
import { StrictServer } from "../integration/aws/strict-secrets-manager/server.ts";
import { StrictSecretsManager } from "../integration/aws/strict-secrets-manager/service.ts";
import { clientWithBoundaries } from "./aws-boundaries.ts";
import type { Boundary, Fate } from "./wire.ts";

let server: StrictServer;
let client: SecretsManagerClient;
let met: Boundary[];
let held: number;
let fate: Fate;

beforeEach(async () => {
  server = await new StrictServer(new StrictSecretsManager()).start();
  client = new SecretsManagerClient(awsConfig(server.endpoint));
  met = [];
  held = 0;
  fate = "go on";
  clientWithBoundaries(client, async (boundary) => {
    met.push(boundary);
    return {
      fate,
      held: async () => {
        held += 1;
      },
    };
  });
});

afterEach(async () => {
  client.destroy();
  await server.stop();
});

const create = () =>
  client.send(
    new CreateSecretCommand({ Name: "app/db", ClientRequestToken: "a".repeat(32), SecretString: "{}" }),
  );
const read = () => client.send(new GetSecretValueCommand({ SecretId: "app/db" }));

test("every call is a boundary by its name, and only what changes something is called a change", async () => {
  await create();
  await read();
  expect(met).toEqual([
    { what: "SecretsManager.CreateSecret", changes: true },
    { what: "SecretsManager.GetSecretValue", changes: false },
  ]);
  expect(server.counts()).toEqual({ CreateSecret: 1, GetSecretValue: 1 });
});

test("a call that fails is not carried out, and looks as if nobody had answered", async () => {
  fate = "fail";
  const failure: unknown = await create().catch((thrown: unknown) => thrown);
  const part = { name: "Secrets Manager", outage: "store-unavailable" } as const;
  expect(translateAws(failure, part, "saving")).toMatchObject({ code: "store-unavailable" });
  expect(server.counts()).toEqual({});
  expect(held).toBe(0);
});

test.each(["carry out", "send"] as const)(
  "a call that is to %s is carried out once, and nobody hears of it",
  async (what) => {
    fate = what;
    await expect(create()).rejects.toMatchObject({ code: "ECONNRESET" });
    expect([server.counts(), held]).toEqual([{ CreateSecret: 1 }, 1]);
    fate = "go on";
    await expect(read()).resolves.toMatchObject({ SecretString: "{}" });
  },
);

test("also where it came to an error nobody hears of it", async () => {
  fate = "carry out";
  await expect(read()).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(held).toBe(1);
});
