import { IAMClient } from "@aws-sdk/client-iam";
import { GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { SendMessageCommand } from "@aws-sdk/client-sqs";
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult, SQSBatchResponse, SQSEvent } from "aws-lambda";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { translateAws } from "./aws-errors.ts";
import { callLimits } from "./call-limits.ts";
import { openDeadLetters } from "./dead-letters.ts";
import { named, readEnvironment } from "./environment.ts";
import { githubAlerts } from "./github-alerts.ts";
import { takeWebhook } from "./github-webhook.ts";
import { takeIncidents } from "./incidents.ts";
import type { Installed } from "./ports.ts";
import { roleSessions } from "./role-sessions.ts";

const Environment = z.object({
  KEYTURN_DEAD_LETTERS: named,
  /** The incidents' own queue, on which webhooks are put. */
  KEYTURN_INCIDENTS: named,
  /** The roles whose sessions may be ended, by commas. */
  KEYTURN_REVOCABLE_ROLES: z.optional(z.string()),
  /** The secret that GitHub signs with; several are lines of it. */
  KEYTURN_GITHUB_WEBHOOK: z.optional(named),
  /** The secret of the app by which alerts are asked for. */
  KEYTURN_GITHUB_APP: z.optional(named),
});

type Answer = SQSBatchResponse | LambdaFunctionURLResult;

/** What answers incidents: a batch of their queue, or a webhook by the function's address. */
export function openIncidents(
  { ports, queues, sqs, secrets }: Installed,
  environment: NodeJS.ProcessEnv,
): (event: SQSEvent | LambdaFunctionURLEvent) => Promise<Answer> {
  const said = readEnvironment(Environment, environment);
  const { clock, log } = ports;
  const read = async (id: string): Promise<Secret> => {
    const answer = await secrets
      .send(new GetSecretValueCommand({ SecretId: id }))
      .catch((thrown: unknown) => {
        throw translateAws(thrown, { name: "Secrets Manager", outage: "store-unavailable" }, `reading ${id}`);
      });
    if (answer.SecretString !== undefined) return new Secret(answer.SecretString);
    throw new KeyturnError("secret-missing", `the secret ${id} holds no text`);
  };
  const [app, hook] = [said.KEYTURN_GITHUB_APP, said.KEYTURN_GITHUB_WEBHOOK];
  const roles = (said.KEYTURN_REVOCABLE_ROLES ?? "").split(",").filter((role) => role !== "");
  const to = {
    ports,
    work: (ref: string) => queues.order(ref),
    sessions: roleSessions({ client: new IAMClient(callLimits), roles, clock, log }),
    github: githubAlerts({ app: app === undefined ? undefined : () => read(app) }),
    deadLetters: openDeadLetters(sqs, said.KEYTURN_DEAD_LETTERS),
  };
  const webhook = {
    log,
    secrets: async () => (hook === undefined ? [] : linesOf(await read(hook))),
    enqueue: async (MessageBody: string) => {
      const message = new SendMessageCommand({ QueueUrl: said.KEYTURN_INCIDENTS, MessageBody });
      await sqs.send(message).catch((thrown: unknown) => {
        throw translateAws(thrown, { name: "SQS", outage: "bus-unavailable" }, "queueing a webhook");
      });
    },
  };
  return (event) => ("Records" in event ? takeIncidents(to, event) : takeWebhook(webhook, event));
}

function linesOf(value: Secret): readonly Secret[] {
  const lines = value
    .reveal()
    .split(/\r?\n/)
    .map((line) => line.trim());
  return lines.filter((line) => line !== "").map((line) => new Secret(line));
}
