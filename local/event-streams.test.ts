import { existsSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import type { RotationEvent } from "../core/events.ts";
import { type World, world } from "./agent-server.contract.ts";
import { systemClock } from "./clock.ts";
import { openEventBus } from "./event-bus.ts";
import { Waker } from "./wake.ts";

const keepAliveMs = 15_000;

let it: World;
beforeEach(async () => {
  it = await world();
});

function rotated(ref: string, epoch = 1): RotationEvent {
  return {
    specversion: "1.0",
    id: `${ref}/${epoch}/rotated`,
    source: "keyturn/test",
    subject: ref,
    time: "2026-01-01T00:00:00.000Z",
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch, version: "v2", urgent: false },
  };
}

describe("the events", () => {
  afterEach(() => void vi.useRealTimers());

  /** A stream and what it has said so far. */
  async function listen(token = it.token) {
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const options = { socketPath: it.local.socketPath, agent: false, path: "/v1/events", headers };
      request(options, resolve).on("error", reject).end();
    });
    const heard = { text: "", ended: false };
    incoming.setEncoding("utf8").on("data", (text: string) => {
      heard.text += text;
    });
    incoming.on("close", () => {
      heard.ended = true;
    });
    incoming.on("error", () => undefined);
    return { incoming, heard };
  }
  const subjects = (text: string): string[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line).subject);

  test("are told to those who may read of them, whichever process has published them", async () => {
    await it.local.bus.publish(rotated("app/db", 0));
    await it.serve();
    const other = (await it.local.tokens.enrol({ principal: "host-2", fleets: ["others"] })).reveal();
    const [mine, theirs] = [await listen(), await listen(other)];
    expect(mine.incoming.headers["content-type"]).toBe("application/x-ndjson");
    for (const ref of ["app/db", "other/db", "app/cut", "nobody/db", "none"]) {
      await it.local.bus.publish(rotated(ref));
    }
    await vi.waitFor(() => {
      expect(subjects(mine.heard.text)).toEqual(["app/db", "app/cut"]);
      expect(subjects(theirs.heard.text)).toEqual(["other/db", "app/cut"]);
    });
    expect(JSON.parse(mine.heard.text.trim().split("\n")[0] ?? "")).toEqual(rotated("app/db"));
  });

  test("are found although the publisher could not wake anybody, and although they could not be read at once", async () => {
    const readEvents = vi.fn(it.local.bus.readEvents);
    readEvents.mockRejectedValueOnce(new KeyturnError("bus-unavailable", "locked"));
    await it.serve({ bus: { end: async () => 0, readEvents } });
    const { heard } = await listen();
    const folder = dirname(it.local.socketPath);
    const options = { clock: systemClock, waker: new Waker(join(folder, "nobody.sock")) };
    using lonely = await openEventBus(join(folder, "events.db"), false, options);
    await lonely.publish(rotated("app/db"));
    await vi.waitFor(() => expect(subjects(heard.text)).toEqual(["app/db"]), 3_000);
    expect(it.lines.some((line) => line.includes("bus-unavailable"))).toBe(true);
  });

  test("a line comes every 15 s, until the token is revoked", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    await it.serve();
    const { heard } = await listen();
    for (const expected of ["\n", "\n\n", "\n\n\n"]) {
      await vi.waitFor(() => expect(heard.text).toBe(expected));
      vi.advanceTimersByTime(keepAliveMs);
    }
    await vi.waitFor(() => expect(heard.text).toBe("\n\n\n\n"));
    await it.local.tokens.revoke("host-1");
    vi.advanceTimersByTime(keepAliveMs);
    await vi.waitFor(() => expect(heard.ended).toBe(true));
  });

  test("who does not read is dropped, and the others go on", async () => {
    const flood = Array.from({ length: 4_000 }, (_, epoch) => rotated("app/db", epoch));
    let place = 0;
    const bus = {
      end: async () => 0,
      readEvents: async (after: number, limit: number) => {
        const events = flood.slice(after, Math.min(after + limit, place));
        return { events, next: after + events.length };
      },
    };
    await it.serve({ bus });
    const [deaf, quick] = [await listen(), await listen()];
    deaf.incoming.pause();
    for (place = 100; place <= flood.length; place += 100) {
      await it.local.bus.wake();
      await vi.waitFor(() => expect(subjects(quick.heard.text).length).toBe(place), { interval: 2 });
    }
    expect(it.lines.some((line) => line.includes("dropped"))).toBe(true);
    deaf.incoming.resume();
    await vi.waitFor(() => expect(deaf.heard.ended).toBe(true));
    expect(quick.heard.ended).toBe(false);
  });

  test("are told by one wake, however many there are", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const many = Array.from({ length: 3_000 }, (_, epoch) => rotated("app/db", epoch));
    const readEvents = async (after: number, limit: number) => {
      const events = many.slice(after, after + limit);
      return { events, next: after + events.length };
    };
    await it.serve({ bus: { end: async () => 0, readEvents } });
    const { heard } = await listen();
    await it.local.bus.wake();
    await vi.waitFor(() => expect(subjects(heard.text)).toHaveLength(many.length));
  });

  test("end when the service stops", async () => {
    const server = await it.serve();
    const { heard } = await listen();
    await server.close();
    await server.close();
    await vi.waitFor(() => expect(heard.ended).toBe(true));
    expect(existsSync(it.local.socketPath)).toBe(false);
  });
});
