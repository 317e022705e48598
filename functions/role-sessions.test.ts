import { IAMClient } from "@aws-sdk/client-iam";
import { expect, test } from "vitest";
import { steppedClock } from "../local/memory.ts";
import { type RoleSessions, roleSessions } from "./role-sessions.ts";
import { type Scripted, scriptedService } from "./scripted-service.contract.ts";

const now = Date.UTC(2026, 10, 21, 12);
const seen = Date.UTC(2026, 10, 21, 4);

function xml(body: string, status = 200): Scripted {
  return { status, body, headers: { "content-type": "text/xml" } };
}

const noPolicy = xml(
  "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>canary</Message></Error></ErrorResponse>",
  404,
);
const done = xml("<PutRolePolicyResponse><ResponseMetadata/></PutRolePolicyResponse>");

function standing(before: string): Scripted {
  const condition = { DateLessThan: { "aws:TokenIssueTime": before } };
  const document = encodeURIComponent(
    JSON.stringify({ Version: "2012-10-17", Statement: [{ Condition: condition }] }),
  );
  const policy = `<RoleName>agent-role</RoleName><PolicyName>p</PolicyName><PolicyDocument>${document}</PolicyDocument>`;
  return xml(
    `<GetRolePolicyResponse><GetRolePolicyResult>${policy}</GetRolePolicyResult></GetRolePolicyResponse>`,
  );
}

async function against(
  answers: readonly [Scripted, ...Scripted[]],
  work: (sessions: RoleSessions) => Promise<void>,
): Promise<readonly URLSearchParams[]> {
  await using service = await scriptedService(...answers);
  const client = new IAMClient(service.config);
  await work(roleSessions({ client, roles: ["agent-role"], clock: steppedClock(now), log: () => undefined }));
  return service.asked.map(({ input }) => new URLSearchParams(String(input)));
}

test("what began before the event is denied, and what begins later is not", async () => {
  const [, put] = await against([noPolicy, done], (sessions) =>
    sessions.end("agent-role", seen, "GuardDuty"),
  );
  expect(put?.get("Action")).toBe("PutRolePolicy");
  expect(JSON.parse(put?.get("PolicyDocument") ?? "")).toEqual({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Deny",
        Action: ["*"],
        Resource: ["*"],
        Condition: { DateLessThan: { "aws:TokenIssueTime": "2026-11-21T04:00:00.000Z" } },
      },
    ],
  });
});

test("an event that comes again, or late, ends nothing that began since", async () => {
  const again = await against([standing("2026-11-21T04:00:00.000Z")], (sessions) =>
    sessions.end("agent-role", seen, "GuardDuty"),
  );
  expect(again.map((call) => call.get("Action"))).toEqual(["GetRolePolicy"]);
  const later = await against([standing("2026-11-20T00:00:00.000Z"), done], (sessions) =>
    sessions.end("agent-role", seen, "GuardDuty"),
  );
  expect(later.map((call) => call.get("Action"))).toEqual(["GetRolePolicy", "PutRolePolicy"]);
});

test("an event from the future ends what is there now, and a policy that somebody else wrote is replaced", async () => {
  const strange = xml(
    "<GetRolePolicyResponse><GetRolePolicyResult><PolicyDocument>%7B%7D</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>",
  );
  const [, put] = await against([strange, done], (sessions) =>
    sessions.end("agent-role", now + 86_400_000, "GuardDuty"),
  );
  expect(put?.get("PolicyDocument")).toContain(new Date(now).toISOString());
});

test("of a role that nobody has named a person is told, and nothing is asked of AWS", async () => {
  const asked = await against([done], async (sessions) => {
    await expect(sessions.end("admin", seen, "GuardDuty")).rejects.toThrow(
      /a person has to look: GuardDuty of the role admin/,
    );
  });
  expect(asked).toEqual([]);
});

test("what AWS refuses is said without its words, but for the right that is missing", async () => {
  const denied = xml(
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>canary is not authorized to perform: iam:PutRolePolicy on resource: role agent-role</Message></Error></ErrorResponse>",
    403,
  );
  await against([noPolicy, denied], async (sessions) => {
    const ending = sessions.end("agent-role", seen, "GuardDuty");
    await expect(ending).rejects.toMatchObject({ code: "role-lacks-rights" });
    await expect(ending).rejects.toThrow("iam:PutRolePolicy");
    await expect(ending).rejects.not.toThrow("canary");
  });
});
