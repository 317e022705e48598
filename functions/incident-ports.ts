import { GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { SendMessageCommand } from "@aws-sdk/client-sqs";
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult, SQSBatchResponse, SQSEvent } from "aws-lambda";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { Secret } from "../core/secret.ts";
import { translateAws } from "./aws-errors.ts";
import { openDeadLetters } from "./dead-letters.ts";
import { named, readEnvironment } from "./environment.ts";
import { takeWebhook } from "./github-webhook.ts";
import { type IncidentPorts, takeIncidents } from "./incidents.ts";
import type { Installed } from "./ports.ts";
import type { RoleSessions } from "./role-sessions.ts";

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

interface RarelyNeeded extends Pick<Ports, "clock" | "log"> {
  readonly roles: readonly string[];
  readonly app: (() => Promise<Secret>) | undefined;
}

type Answer = SQSBatchResponse | LambdaFunctionURLResult;

/** What answers incidents: a batch of their queue, or a webhook by the function's address. */
export function openIncidents(
  { ports, queues, sqs, secrets, ready }: Installed,
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
    ...rarelyNeeded({ roles, clock, log, app: app === undefined ? undefined : () => read(app) }),
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
  return async (event) => {
    if (!("Records" in event)) return takeWebhook(webhook, event);
    // Without the keys nothing that has leaked is known: all of it comes again, and what has come too often is put aside as it is.
    await ready();
    return takeIncidents(to, event);
  };
}

/** Few incidents need the clients of IAM and of GitHub, and all would wait for them when the function starts. */
function rarelyNeeded({ app, ...options }: RarelyNeeded): Pick<IncidentPorts, "sessions" | "github"> {
  let sessions: RoleSessions | undefined;
  return {
    sessions: {
      end: async (role, before, because) => {
        const { openRoleSessions } = await import("./role-sessions.ts");
        sessions ??= openRoleSessions(options);
        return sessions.end(role, before, because);
      },
    },
    github: {
      read: async (found) => {
        const { githubAlerts } = await import("./github-alerts.ts");
        return githubAlerts({ app }).read(found);
      },
    },
  };
}

function linesOf(value: Secret): readonly Secret[] {
  const lines = value
    .reveal()
    .split(/\r?\n/)
    .map((line) => line.trim());
  return lines.filter((line) => line !== "").map((line) => new Secret(line));
}
