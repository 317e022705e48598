import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostPorts } from "./host-ports.ts";

const policy = {
  cacheTtlMs: 60_000,
  graceAtLeastMs: 1,
  graceAtMostMs: 1,
  onLaggards: "hold",
  confirmEveryMs: 1,
  stepDeadlineMs: 1,
  attemptsMax: 1,
  retryBaseMs: 1,
  retryMaxMs: 1,
};
const secret = { ref: "app/db", type: "postgres-password", config: {}, policy, fleets: ["web"] };
const deployment = {
  version: 1,
  installation: "prod",
  account: "111122223333",
  region: "eu-west-1",
  secrets: [secret],
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-host-ports-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function environment(text: string) {
  const path = join(folder, "keyturn.json");
  writeFileSync(path, text);
  return {
    KEYTURN_INSTALLATION: "prod",
    KEYTURN_TABLE: "keyturn-prod-journal",
    KEYTURN_WORK_QUEUES: "https://sqs.eu-west-1.amazonaws.com/111122223333/keyturn-prod-",
    KEYTURN_DEAD_LETTERS: "https://sqs.eu-west-1.amazonaws.com/111122223333/keyturn-prod-reports-dead",
    KEYTURN_DEPLOYMENT: path,
  };
}

test("what hosts may read comes from the deployment, and how from what is known of the types", async () => {
  const ports = hostPorts(environment(JSON.stringify(deployment)));
  expect(ports.secrets.get("app/db")).toMatchObject({ type: "postgres-password", fleets: ["web"] });
  expect(await ports.overlapOf("postgres-password")).toBe("cutover");
  await expect(ports.overlapOf("unheard-of")).rejects.toMatchObject({ code: "config-invalid" });
});

test.each(["KEYTURN_INSTALLATION", "KEYTURN_TABLE", "KEYTURN_WORK_QUEUES", "KEYTURN_DEAD_LETTERS"])(
  "an environment without %s is refused, by that name",
  (name) => {
    for (const value of [undefined, ""]) {
      const given = { ...environment(JSON.stringify(deployment)), [name]: value };
      expect(() => hostPorts(given)).toThrow(`the environment does not say ${name}`);
    }
  },
);

test.each([
  ["that is not there", "gone", "cannot be read"],
  ["that is no JSON", "{", "is no JSON"],
  ["of a form that nobody knows", JSON.stringify({ ...deployment, version: 99 }), "form 99"],
])("a deployment %s is refused", (_, text, reason) => {
  const given = environment(text);
  const path = text === "gone" ? join(folder, "gone") : given.KEYTURN_DEPLOYMENT;
  expect(() => hostPorts({ ...given, KEYTURN_DEPLOYMENT: path })).toThrow(reason);
  expect(() => hostPorts({ ...given, KEYTURN_DEPLOYMENT: path })).toThrow(
    expect.objectContaining({ code: "config-invalid" }),
  );
});
