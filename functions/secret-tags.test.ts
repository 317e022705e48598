import {
  CreateSecretCommand,
  DescribeSecretCommand,
  UntagResourceCommand,
} from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { type StrictWorld, strictWorld } from "../integration/aws/strict-secrets-manager/world.ts";
import { assertTagged, namingTags, tag, tagsOf, untagged } from "./secret-tags.ts";

const [db, open] = [
  { ref: "billing/db", type: "model", tenant: "acme" },
  { ref: "billing/open", type: "model", tenant: undefined },
];

let world: StrictWorld;
beforeEach(async () => {
  world = await strictWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

async function create(Name: string, tags: Readonly<Record<string, string>> = {}): Promise<void> {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  await world.client().send(new CreateSecretCommand({ Name, SecretString: "{}", Tags }));
}

test("what a secret lacks is found, set, and not found again; what it bears besides stays", async () => {
  await create(db.ref, { "keyturn:installation": "prod", "keyturn:tenant": "other", team: "billing" });
  await create(open.ref, tagsOf("prod", open));
  await create("of/somebody/else");
  const found = await untagged(world.client(), "prod", [db, open, { ...open, ref: "not/there" }]);
  expect(found).toEqual([{ ref: db.ref, tags: { "keyturn:type": "model", "keyturn:tenant": "acme" } }]);
  for (const one of found) await tag(world.client(), one);
  expect(await untagged(world.client(), "prod", [db, open])).toEqual([]);
  const { Tags = [] } = await world.client().send(new DescribeSecretCommand({ SecretId: db.ref }));
  expect(new Map(Tags.map(({ Key, Value }) => [Key, Value]))).toEqual(
    new Map(Object.entries({ ...tagsOf("prod", db), team: "billing" })),
  );
});

test("those beyond the first hundred are found too, and ten are named", async () => {
  const many = Array.from({ length: 120 }, (_, index) => ({ ...open, ref: `many/${index}` }));
  for (const { ref } of many) await create(ref);
  expect(await untagged(world.client(), "prod", many)).toHaveLength(120);
  await expect(assertTagged(world.client(), "prod", many)).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringMatching(
      /many\/0 \(keyturn:installation=prod keyturn:type=model\), .* and 110 more; `keyturn doctor --fix` sets them$/,
    ),
  });
  await expect(assertTagged(world.client(), "prod", [])).resolves.toBeUndefined();
});

test("a tag that somebody takes away is missing again", async () => {
  await create(db.ref, tagsOf("prod", db));
  await assertTagged(world.client(), "prod", [db]);
  await world.client().send(new UntagResourceCommand({ SecretId: db.ref, TagKeys: ["keyturn:type"] }));
  await expect(assertTagged(world.client(), "prod", [db])).rejects.toThrow("billing/db (keyturn:type=model)");
});

test("only a call to Secrets Manager that was refused makes its error name the tags", async () => {
  const saying = (error: Error, tags?: Readonly<Record<string, string>>) =>
    namingTags(tags, () => Promise.reject(error));
  const refused = new KeyturnError("role-lacks-rights", "x (needs secretsmanager:PutSecretValue on y)");
  await expect(saying(refused, tagsOf("prod", db))).rejects.toMatchObject({
    code: "role-lacks-rights",
    message: `${refused.message}: rights go by tags here, does it bear keyturn:installation=prod keyturn:type=model keyturn:tenant=acme? \`keyturn doctor --fix\` sets them`,
  });
  for (const other of [
    new KeyturnError("role-lacks-rights", "STS: x (needs sts:AssumeRole on y)"),
    new KeyturnError("throttled", "needs secretsmanager:PutSecretValue"),
    new Error("needs secretsmanager:PutSecretValue"),
  ])
    await expect(saying(other, tagsOf("prod", db))).rejects.toBe(other);
  await expect(saying(refused)).rejects.toBe(refused);
});
