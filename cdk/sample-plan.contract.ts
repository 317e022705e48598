import { App, Stack } from "aws-cdk-lib";
import { Code } from "aws-cdk-lib/aws-lambda";
import { Keyturn, type KeyturnProps } from "./keyturn.ts";
import type { Plan, PlannedSecret } from "./plan.ts";

const login = { host: "db.internal", database: "billing", owner: "billing", tls: { ca: "ca.pem" } };

export function secretOf(ref: string, more: Partial<PlannedSecret> = {}): PlannedSecret {
  return {
    ref,
    type: "postgres-alternating",
    config: login,
    admin: "billing/db-admin",
    fleets: ["invoice-agents"],
    tenant: "acme",
    ...more,
  };
}

/** Three types, two fleets, and an administering login that is only kept. */
export const plan: Plan = {
  installation: "prod",
  account: "111122223333",
  region: "eu-west-1",
  secretsBy: "name",
  accounts: {},
  secrets: [
    secretOf("billing/db"),
    secretOf("billing/reports", { fleets: ["invoice-agents", "report-agents"] }),
    secretOf("legacy/app", { type: "postgres-password", fleets: ["report-agents"], admin: "legacy/app" }),
    secretOf("partner/uploader", {
      type: "aws-iam-access-key",
      config: { userName: "uploader", path: "/partners/", region: "eu-west-1" },
      admin: undefined,
      fleets: ["report-agents"],
    }),
  ],
  files: { "keyturn.json": "{}" },
};

/**
 * An app as the project's own is; but CloudFormation's rules are looked at once (`rules.test.ts`), and not in every synthesis, of which they are
 * half the time.
 */
export function appOf(context: Readonly<Record<string, unknown>> = {}, isValidated = false): App {
  return new App({
    builtinCloudFormationValidation: isValidated,
    context: { "@aws-cdk/core:enablePartitionLiterals": true, ...context },
  });
}

/** In an account and a region, so that names and ARNs can be read; with code that says which bundle it would be. */
export function stackOf(
  props: Partial<KeyturnProps> | ((stack: Stack) => Partial<KeyturnProps>) = {},
  app = appOf(),
): {
  readonly app: App;
  readonly stack: Stack;
  readonly keyturn: Keyturn;
} {
  const stack = new Stack(app, "Keyturn", { env: { account: "111122223333", region: "eu-west-1" } });
  const code = (bundle: string) => Code.fromInline(`// ${bundle}`);
  const more = typeof props === "function" ? props(stack) : props;
  return { app, stack, keyturn: new Keyturn(stack, "Keyturn", { plan, code, ...more }) };
}
