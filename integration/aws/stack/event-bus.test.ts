import {
  CreateEventBusCommand,
  DeleteRuleCommand,
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import { afterAll, beforeAll, inject } from "vitest";
import { describeEventBus } from "../../../core/event-bus.contract.ts";
import { parseEvent, type RotationEvent } from "../../../core/events.ts";
import { eventSource, openEventBus } from "../../../functions/event-bus.ts";
import { createQueue, receive } from "./queues.ts";

const client = new EventBridgeClient(inject("localstack"));
const bus = "keyturn-bus-contract";
beforeAll(async () => {
  await client.send(new CreateEventBusCommand({ Name: bus }));
});
afterAll(() => client.destroy());

let opened = 0;

/** Everything of ours on the bus comes to a queue, by the pattern that a stack has. */
describeEventBus("the bus on EventBridge", async () => {
  opened += 1;
  const name = `${bus}-${opened}`;
  const queue = await createQueue(name);
  const rule = { Name: name, EventBusName: bus };
  await client.send(new PutRuleCommand({ ...rule, EventPattern: JSON.stringify({ source: [eventSource] }) }));
  await client.send(
    new PutTargetsCommand({ Rule: name, EventBusName: bus, Targets: [{ Id: "queue", Arn: queue.arn }] }),
  );
  return {
    bus: openEventBus({ client, bus }),
    published: async () => {
      const events: RotationEvent[] = [];
      for (;;) {
        const message = await receive(queue, 2);
        if (message === undefined) return events;
        const { detail, "detail-type": type } = Object(message);
        const event = parseEvent(detail);
        if (type !== event.type) throw new Error(`${event.id} came as ${type}`);
        events.push(event);
      }
    },
    close: async () => {
      await client.send(new RemoveTargetsCommand({ Rule: name, EventBusName: bus, Ids: ["queue"] }));
      await client.send(new DeleteRuleCommand(rule));
    },
  };
});
