import { inspect } from "node:util";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { expect, test } from "vitest";
import type { RotationEvent } from "../core/events.ts";
import { openEventBus } from "./event-bus.ts";
import { answer, refusal, type Scripted, scriptedService } from "./scripted-service.contract.ts";

function failed(reason: string): RotationEvent {
  return {
    specversion: "1.0",
    id: "app/db/3/failed",
    source: "keyturn/test",
    subject: "app/db",
    time: "2026-01-02T03:04:05.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.rotation.failed.v1",
    data: { epoch: 3, outcome: "halted", code: "data-broken", reason },
  };
}

async function busOn(said: Scripted) {
  const service = await scriptedService(said);
  const client = new EventBridgeClient(service.config);
  return {
    bus: openEventBus({ client, bus: "keyturn" }),
    asked: service.asked,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await service[Symbol.asyncDispose]();
    },
  };
}

const taken = answer({ FailedEntryCount: 0, Entries: [{ EventId: "1" }] });
const notTaken = (ErrorCode: string): Scripted =>
  answer({ FailedEntryCount: 1, Entries: [{ ErrorCode, ErrorMessage: "canary-in-a-message" }] });

test("an event goes to the bus with its type as detail-type, and as a whole", async () => {
  await using opened = await busOn(taken);
  const event = failed("it stopped");
  await opened.bus.publish(event);
  expect(opened.asked).toEqual([
    {
      operation: "PutEvents",
      input: {
        Entries: [
          {
            EventBusName: "keyturn",
            Source: "dev.keyturn",
            DetailType: event.type,
            Detail: JSON.stringify(event),
            Time: Date.parse(event.time) / 1000,
          },
        ],
      },
    },
  ]);
});

test.each([
  ["was not taken, for now", notTaken("InternalFailure"), "bus-unavailable"],
  ["was not taken, with no reason", answer({ FailedEntryCount: 1, Entries: [] }), "bus-unavailable"],
  ["was throttled in an answer that looks good", notTaken("ThrottlingException"), "throttled"],
  ["may not be published, as the answer says", notTaken("AccessDeniedException"), "role-lacks-rights"],
  ["may not be published", refusal("AccessDeniedException"), "role-lacks-rights"],
  ["has no bus", refusal("ResourceNotFoundException"), "bus-unavailable"],
  ["was throttled", refusal("ThrottlingException"), "throttled"],
  ["met an outage", refusal("InternalException", "canary", 500), "bus-unavailable"],
  ["met nobody", "hangs up" as const, "bus-unavailable"],
])("an event that %s is told so, and may be published again", async (_, said, code) => {
  await using opened = await busOn(said);
  const thrown: unknown = await opened.bus.publish(failed("it stopped")).then(
    () => "nothing",
    (error: unknown) => error,
  );
  expect(thrown).toMatchObject({ code, disposition: "retry" });
  expect(inspect(thrown)).toContain("EventBridge: publishing app/db/3/failed: ");
  expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
});

test("an event that EventBridge never takes is refused before it is sent", async () => {
  await using opened = await busOn(taken);
  const spare =
    256 * 1024 - JSON.stringify(failed("")).length - "dev.keyturn".length - failed("").type.length;
  await opened.bus.publish(failed("x".repeat(spare)));
  await expect(opened.bus.publish(failed("x".repeat(spare + 1)))).rejects.toMatchObject({
    code: "input-invalid",
  });
  expect(opened.asked).toHaveLength(1);
});
