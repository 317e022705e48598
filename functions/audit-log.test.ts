import { inspect } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import type { AuditEntry } from "../core/audit.ts";
import { sampleChain } from "../core/audit-log.contract.ts";
import type { AuditLog } from "../core/ports.ts";
import { openAuditLog } from "./audit-log.ts";
import { answer, type Scripted, scriptedService } from "./scripted-service.contract.ts";

async function logOn(first: Scripted, ...more: readonly Scripted[]) {
  const service = await scriptedService(first, ...more);
  const client = new S3Client({ ...service.config, forcePathStyle: true });
  return {
    audit: openAuditLog({ client, bucket: "audit" }),
    asked: service.asked,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await service[Symbol.asyncDispose]();
    },
  };
}

/** As S3 says what is wrong. */
function refused(code: string, status: number): Scripted {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>canary-in-a-message</Message></Error>`;
  return { status, body, headers: { "content-type": "application/xml" } };
}

const written = answer("");
const taken = refused("PreconditionFailed", 412);
const busy = refused("ConditionalRequestConflict", 409);
const absent = refused("NoSuchKey", 404);

const [one, two, three] = sampleChain("app/db", 3);
const [other] = sampleChain("app/db", 1).map((entry): AuditEntry => ({ ...entry, hash: "00", actor: "x" }));
if (one === undefined || two === undefined || three === undefined) throw new Error("the sample is too short");

describe("an entry", () => {
  test.each([
    ["that is the first is written, if nothing is there", one, [written], ["PUT"]],
    ["that follows is written after a look at the one before", two, [answer(one), written], ["GET", "PUT"]],
    ["that is there already, a lost reply's too, is done", one, [taken, answer(one)], ["PUT", "GET"]],
    ["that somebody writes at this moment is tried again", one, [busy, busy, written], ["PUT", "PUT", "PUT"]],
  ])("%s", async (_, entry, [first, ...more], expected) => {
    await using opened = await logOn(first ?? written, ...more);
    await opened.audit.append(entry);
    expect(opened.asked.map(({ operation }) => operation)).toEqual(expected);
  });

  test.each([
    ["another one has its place", one, [taken, answer(other)], ["PUT", "GET"]],
    ["nothing is before it: nothing is written", two, [absent], ["GET"]],
    ["another one is before it: nothing is written", two, [answer(other)], ["GET"]],
    [
      "others never get done with its place",
      one,
      [busy, busy, busy, busy, busy, absent],
      [...Array(5).fill("PUT"), "GET"],
    ],
  ])("conflicts where %s", async (_, entry, [first, ...more], expected) => {
    await using opened = await logOn(first ?? written, ...more);
    await expect(opened.audit.append(entry)).rejects.toMatchObject({ code: "conflict" });
    expect(opened.asked.map(({ operation }) => operation)).toEqual(expected);
  });

  test("costs one call where this process has written the one before", async () => {
    await using opened = await logOn(written);
    for (const entry of [one, two, three]) await opened.audit.append(entry);
    expect(opened.asked.map(({ operation }) => operation)).toEqual(["PUT", "PUT", "PUT"]);
  });

  test("of a secret whose name is too long for S3 is refused, and not written elsewhere", async () => {
    await using opened = await logOn(written);
    const entry = { ...one, ref: `app/${"ü".repeat(170)}` };
    await expect(opened.audit.append(entry)).rejects.toMatchObject({ code: "input-invalid" });
    expect(opened.asked).toEqual([]);
  });
});

describe("what S3 lists in parts", () => {
  const listed = (inside: string, next = ""): Scripted => {
    const more = next === "" ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`;
    return {
      status: 200,
      body: `<?xml version="1.0"?><ListBucketResult><IsTruncated>${next !== ""}</IsTruncated>${more}${inside}</ListBucketResult>`,
      headers: { "content-type": "application/xml" },
    };
  };

  test("is read to its end: a chain", async () => {
    const name = "chains/app%2fdb/9007199254740990.json";
    const last = listed(`<Contents><Key>${name}</Key></Contents>`);
    await using opened = await logOn(listed("", "more"), last, answer(one));
    expect(await Array.fromAsync(opened.audit.read("app/db"))).toEqual([one]);
  });

  test("is read to its end: the names of the chains, and no other's", async () => {
    const folder = (name: string) => `<CommonPrefixes><Prefix>chains/${name}/</Prefix></CommonPrefixes>`;
    await using opened = await logOn(listed(folder("b"), "more"), listed(folder("a%2f1") + folder("A")));
    expect(await opened.audit.refs()).toEqual(["a/1", "b"]);
  });
});

const calls: Readonly<Record<string, (audit: AuditLog) => Promise<unknown>>> = {
  writing: (audit) => audit.append(one),
  reading: (audit) => audit.append(two),
  listing: (audit) => Array.fromAsync(audit.read("app/db")),
  "looking for the end": (audit) => audit.end("app/db"),
  "listing chains": (audit) => audit.refs(),
};

describe.each(Object.entries(calls))("%s", (doing, call) => {
  test.each([
    ["there is no bucket", refused("NoSuchBucket", 404), "audit-unavailable"],
    ["the role may not", refused("AccessDenied", 403), "role-lacks-rights"],
    ["S3 is asked too fast", refused("SlowDown", 503), "throttled"],
    ["S3 is broken", refused("InternalError", 500), "audit-unavailable"],
    ["nobody answers", "hangs up" as const, "audit-unavailable"],
  ])("throws where %s, and never looks empty", async (_, said, code) => {
    await using opened = await logOn(said);
    const thrown: unknown = await call(opened.audit).then(
      () => "nothing",
      (error: unknown) => error,
    );
    expect(thrown).toMatchObject({ code, disposition: "retry" });
    expect(inspect(thrown)).toContain(`the audit's bucket: ${doing}`);
    expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
  });
});
