import {
  GetRolePolicyCommand,
  IAMClient,
  NoSuchEntityException,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import type { Clock, Log } from "../core/ports.ts";
import { type AwsPart, translateAws } from "./aws-errors.ts";
import { callLimits } from "./call-limits.ts";
import { foreignJson } from "./foreign-json.ts";

/** The sessions of roles: their credentials cannot be taken back, and what was signed with older ones can be denied. */
export interface RoleSessions {
  /** Denies the role all that is signed by sessions which began before that moment, in milliseconds since 1970. Those of later stay. */
  end(role: string, before: number, because: string): Promise<void>;
}

interface RoleSessionsOptions {
  readonly client: IAMClient;
  /** The roles that it may be done to; of another one a person is told. */
  readonly roles: readonly string[];
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

const part: AwsPart = { name: "IAM", outage: "unreachable" };

/** The name under which AWS's console does the same, so that whoever looks there knows it. */
export const policyName = "AWSRevokeOlderSessions";

const Standing = z.object({
  Statement: z.tuple([
    z.object({ Condition: z.object({ DateLessThan: z.object({ "aws:TokenIssueTime": z.iso.datetime() }) }) }),
  ]),
});

/** With the SDK's client, by the role of the function. */
export function openRoleSessions(options: Omit<RoleSessionsOptions, "client">): RoleSessions {
  return roleSessions({ client: new IAMClient(callLimits), ...options });
}

/**
 * By the policy that AWS describes: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html. Whoever gets new
 * credentials goes on, so the time is the event's: were it the time of carrying it out, an event that comes again would end sessions of later.
 */
export function roleSessions({ client, roles, clock, log }: RoleSessionsOptions): RoleSessions {
  return {
    end: async (role, before, because) => {
      if (!roles.includes(role)) {
        throw new KeyturnError(
          "request-refused",
          `a person has to look: ${because} of the role ${role}, whose sessions nobody has said may be ended here`,
        );
      }
      const until = Math.min(before, clock.now());
      const standing = await denied(client, role);
      if (standing !== undefined && standing >= until) return;
      const call = new PutRolePolicyCommand({
        RoleName: role,
        PolicyName: policyName,
        PolicyDocument: JSON.stringify(denyBefore(until)),
      });
      await client.send(call).catch((thrown: unknown) => {
        throw translateAws(thrown, part, `ending the sessions of ${role}`);
      });
      log("warn", "the sessions of a role were ended", {
        role,
        before: new Date(until).toISOString(),
        because,
      });
    },
  };
}

/** Until when sessions are denied already. */
async function denied(client: IAMClient, role: string): Promise<number | undefined> {
  const call = new GetRolePolicyCommand({ RoleName: role, PolicyName: policyName });
  const { PolicyDocument = "" } = await client.send(call).catch((thrown: unknown) => {
    if (thrown instanceof NoSuchEntityException) return { PolicyDocument: undefined };
    throw translateAws(thrown, part, `reading the policies of ${role}`);
  });
  const read = Standing.safeParse(foreignJson(decodeURIComponent(PolicyDocument)));
  if (!read.success) return undefined;
  return Date.parse(read.data.Statement[0].Condition.DateLessThan["aws:TokenIssueTime"]);
}

function denyBefore(time: number) {
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Deny",
        Action: ["*"],
        Resource: ["*"],
        Condition: { DateLessThan: { "aws:TokenIssueTime": new Date(time).toISOString() } },
      },
    ],
  };
}
