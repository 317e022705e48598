import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readDeployment } from "../manifest/deployment.ts";
import { planOf } from "./plan.ts";

const folder = mkdtempSync(join(tmpdir(), "keyturn-plan-"));
afterAll(() => rmSync(folder, { recursive: true }));

function manifest(stores: string): string {
  const path = join(folder, "keyturn.yaml");
  writeFileSync(join(folder, "ca.pem"), "the authority");
  writeFileSync(
    path,
    `stores:
${stores}
secrets:
  billing/db:
    store: prod
    type: postgres-alternating
    config: { host: db.internal, database: billing, owner: billing, tls: { ca: ca.pem } }
    admin: { secret: billing/db-admin }
    fleets: [invoice-agents]
  billing/db-admin: { store: prod, type: held }
`,
  );
  return path;
}

const prod = `  prod: { aws: { account: "111122223333", region: eu-west-1 } }`;

it("is what the manifest says of its one store on AWS, and the files that functions read", () => {
  const plan = planOf(manifest(prod));
  expect(plan).toMatchObject({
    installation: "prod",
    account: "111122223333",
    region: "eu-west-1",
    secrets: [{ ref: "billing/db", admin: "billing/db-admin", fleets: ["invoice-agents"] }],
  });
  const [ca = ""] = Object.keys(plan.files).filter((name) => name.endsWith("ca.pem"));
  expect(plan.files[ca]).toBe("the authority");
  const deployed = readDeployment(JSON.parse(plan.files["keyturn.json"] ?? ""), "/var/task");
  expect(deployed.secrets.get("billing/db")?.config).toMatchObject({ tls: { ca: `/var/task/${ca}` } });
});

it("is not guessed: of two stores on AWS one has to be named", () => {
  const two = manifest(`${prod}\n  test: { aws: { account: "111122223333", region: eu-west-1 } }`);
  expect(() => planOf(two)).toThrow(/prod, test.*which one/);
  expect(planOf(two, "prod").secrets).toHaveLength(1);
});

it("is not there where no store is on AWS", () => {
  const path = join(folder, "local.yaml");
  writeFileSync(path, "stores: { here: { local: { path: .keyturn } } }\n");
  expect(() => planOf(path)).toThrow(/has no store on AWS/);
});
