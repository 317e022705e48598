import { format, inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { KeyturnError } from "../core/errors.ts";
import { FakeClock, settle } from "./fake-clock.contract.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connect, connectHost, type RotationNotice } from "./index.ts";

const ref = "billing/db";
const canary = "canary-5f0c9e";

async function setUp(options: { readonly spreadMs?: number; readonly chance?: () => number } = {}) {
  const service = new FakeService();
  const clock = new FakeClock();
  const lines: string[] = [];
  service.put(ref, "v1", { username: "billing_a", password: canary });
  const client = await connect({
    transport: service,
    agent: "invoices/1",
    fleet: "invoices",
    clock,
    chance: options.chance ?? (() => 0.5),
    log: (...line) => lines.push(format(...line)),
    ...(options.spreadMs === undefined ? {} : { spreadMs: options.spreadMs }),
  });
  await settle();
  const rotate = async (version: string, urgent = false) => {
    service.put(ref, version, { username: "billing_b", password: canary });
    service.announce(ref, version, urgent);
    await settle();
  };
  return { service, clock, client, rotate, lines };
}

describe("reading", () => {
  it("is known to the service before it reads", async () => {
    const { service, client } = await setUp();
    const secret = await client.getSecret(ref);
    expect([secret.version, secret.field("username")]).toEqual(["v1", "billing_a"]);
    const asked = service.calls.filter((call) => call.endsWith(ref));
    expect(asked.slice(0, 2)).toEqual([`report ${ref}`, `read ${ref}`]);
    expect(service.reports[0]).toMatchObject({
      agent: "invoices/1",
      fleet: "invoices",
      inUse: [],
      holds: [],
    });
  });

  it("fails when the service cannot hear of it, and reads nothing then", async () => {
    const { service, client } = await setUp();
    service.down = true;
    await expect(client.getSecret(ref)).rejects.toMatchObject({ code: "unreachable" });
    expect(service.reads(ref)).toBe(0);
    service.down = false;
    expect((await client.getSecret(ref)).version).toBe("v1");
  });

  it("gives the same settled promise to every warm reader", async () => {
    const { service, client } = await setUp();
    await Promise.all(Array.from({ length: 1_000 }, () => client.getSecret(ref)));
    expect(client.getSecret(ref)).toBe(client.getSecret(ref));
    expect(service.reads(ref)).toBe(1);
  });

  it("does not make a rotation wait for an agent that asked for what is not there", async () => {
    const { service, client } = await setUp();
    await expect(client.getSecret("no/such")).rejects.toMatchObject({ code: "secret-missing" });
    await settle();
    expect(service.lastReport("invoices/1", "no/such")).toMatchObject({ leaving: true });
  });

  it("names the field that a credential lacks, and shows no value", async () => {
    const { client } = await setUp();
    const secret = await client.getSecret(ref);
    expect(() => secret.field("port")).toThrowError(/port/);
    expect(() => secret.field("port")).not.toThrowError(canary);
  });

  it("ends with the client, and the service is told not to wait", async () => {
    const { service, client, clock } = await setUp();
    await client.getSecret(ref);
    await client.close();
    expect(service.lastReport("invoices/1", ref)).toMatchObject({ leaving: true, inUse: [] });
    await expect(client.getSecret(ref)).rejects.toMatchObject({ code: "request-refused" });
    const before = service.calls.length;
    await clock.advance(1_000_000);
    expect(service.calls.length).toBe(before);
    expect(service.streams).toBe(0);
  });
});

describe("a rotation", () => {
  it("reaches listeners after the new version is in the cache, within the spread", async () => {
    const { service, client, clock, rotate } = await setUp({ spreadMs: 1_000 });
    const notices: RotationNotice[] = [];
    const seen: Promise<string>[] = [];
    client.subscribeToRotation(ref, (notice) => {
      notices.push(notice);
      seen.push(client.getSecret(ref).then((secret) => secret.version));
    });
    await settle();
    await rotate("v2");
    await clock.advance(490);
    expect(notices).toEqual([]);
    await clock.advance(20);
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: false }]);
    expect(await Promise.all(seen)).toEqual(["v2"]);
    expect(service.lastReport("invoices/1", ref)?.inUse).toEqual(["v2"]);
  });

  it("spreads a fleet's reads over the window", async () => {
    const draws = Array.from({ length: 40 }, (_, index) => ((index * 7) % 40) / 40);
    const agents = await Promise.all(draws.map((draw) => setUp({ spreadMs: 1_000, chance: () => draw })));
    for (const { client, rotate } of agents) {
      await client.getSecret(ref);
      await rotate("v2");
    }
    const perStep: number[] = [];
    for (let step = 0; step < 10; step += 1) {
      for (const { clock } of agents) await clock.advance(100);
      const done = agents.filter(({ service }) => service.reads(ref) > 1).length;
      perStep.push(done - perStep.reduce((sum, count) => sum + count, 0));
    }
    expect(Math.max(...perStep)).toBeLessThanOrEqual(5);
    expect(perStep.reduce((sum, count) => sum + count, 0)).toBe(40);
  });

  it("that is urgent arrives within a tenth of the window", async () => {
    const { client, clock, rotate } = await setUp({ spreadMs: 1_000 });
    const notices: RotationNotice[] = [];
    client.subscribeToRotation(ref, (notice) => notices.push(notice));
    await settle();
    await rotate("v2", true);
    await clock.advance(100);
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: true }]);
  });

  it("is noticed by the slow pulse when its event is lost, and when the stream opens again", async () => {
    const { service, client, clock } = await setUp();
    await client.getSecret(ref);
    service.put(ref, "v2", {});
    await clock.advance(7_600);
    expect((await client.getSecret(ref)).version).toBe("v2");

    service.put(ref, "v3", {});
    service.hangUp();
    await clock.advance(2_000);
    expect(service.streams).toBe(1);
    expect((await client.getSecret(ref)).version).toBe("v3");
  });

  it("is not made up by forged or broken lines: they are counted, and change nothing", async () => {
    const service = new FakeService();
    const clock = new FakeClock();
    service.put(ref, "v1", {});
    await using host = await connectHost({ transport: service, principal: "invoices", clock });
    const client = host.agent("1", "invoices");
    await client.getSecret(ref);
    const notices: RotationNotice[] = [];
    client.subscribeToRotation(ref, (notice) => notices.push(notice));
    for (const line of ["garbage", "{}", '{"specversion":"1.0"}', "[1]", '{"type":', ""]) service.say(line);
    await settle();
    expect(host.ignoredEvents).toBe(5);
    // A well-formed lie makes it read, once, and the store knows better.
    for (let count = 0; count < 50; count += 1) service.announce(ref, `forged-${count}`);
    service.announce("other/secret", "v9");
    await clock.advance(1_000);
    expect((await client.getSecret(ref)).version).toBe("v1");
    expect(service.reads(ref)).toBe(2);
    expect(service.reads("other/secret")).toBe(0);
    expect(notices).toEqual([]);
  });

  it("goes on when a listener throws, and no longer reaches one that left", async () => {
    const { client, clock, rotate, lines } = await setUp();
    const heard: string[] = [];
    const leave = client.subscribeToRotation(ref, () => heard.push("left"));
    client.subscribeToRotation(ref, () => {
      throw new Error("a listener's own defect");
    });
    client.subscribeToRotation(ref, ({ version }) => heard.push(version));
    await settle();
    leave();
    await rotate("v2");
    await clock.advance(1_000);
    expect(heard).toEqual(["v2"]);
    expect(lines.join()).toContain("a listener's own defect");
  });

  it("leaves warm agents alone while the service is down, and follows when it is up again", async () => {
    const { service, client, clock } = await setUp();
    await client.getSecret(ref);
    service.down = true;
    service.hangUp();
    await clock.advance(8_000);
    expect((await client.getSecret(ref)).version).toBe("v1");
    service.put(ref, "v2", {});
    service.down = false;
    await clock.advance(20_000);
    expect((await client.getSecret(ref)).version).toBe("v2");
    expect(service.streams).toBe(1);
  });
});

describe("a hold", () => {
  it("is granted before it is given, keeps its version reported, and ends with its task", async () => {
    const { service, client, clock, rotate } = await setUp();
    const result = await client.hold(ref, async (secret, lost) => {
      expect(service.lastReport("invoices/1", ref)?.holds).toMatchObject([{ version: "v1" }]);
      await rotate("v2");
      await clock.advance(1_000);
      expect(service.lastReport("invoices/1", ref)?.inUse).toEqual(["v2", "v1"]);
      expect(lost.aborted).toBe(false);
      return secret.version;
    });
    await settle();
    expect(result).toBe("v1");
    expect(service.lastReport("invoices/1", ref)).toMatchObject({ inUse: ["v2"], holds: [], adopted: "v1" });
  });

  it("on a version that is being retired is refused, and taken on the new one", async () => {
    const { service, client } = await setUp();
    await client.getSecret(ref);
    service.retiring.add("v1");
    service.put(ref, "v2", {});
    await using held = await client.hold(ref);
    expect(held.secret.version).toBe("v2");
    expect(service.lastReport("invoices/1", ref)?.holds).toMatchObject([{ version: "v2" }]);
  });

  it("that no version is granted fails, and leaves nothing behind", async () => {
    const { service, client } = await setUp();
    service.retiring.add("v1");
    await expect(client.hold(ref)).rejects.toMatchObject({ code: "request-refused" });
    await settle();
    expect(service.lastReport("invoices/1", ref)).toMatchObject({ inUse: ["v1"], holds: [] });
  });

  it("fails while the service is down, and leaves nothing behind", async () => {
    const { service, client, clock } = await setUp();
    await client.getSecret(ref);
    service.down = true;
    await expect(client.hold(ref)).rejects.toMatchObject({ code: "unreachable" });
    service.down = false;
    await clock.advance(10_000);
    expect(service.lastReport("invoices/1", ref)?.holds).toEqual([]);
  });

  it("tells its task when it is withdrawn, and stays in use until the task ends", async () => {
    const { service, client, clock } = await setUp();
    const held = await client.hold(ref);
    service.retiring.add("v1");
    service.put(ref, "v2", {});
    await clock.advance(10_000);
    expect(held.lost.aborted).toBe(true);
    await clock.advance(5_000);
    expect(service.lastReport("invoices/1", ref)).toMatchObject({ inUse: ["v2", "v1"], holds: [] });
    await held.release();
    await settle();
    expect(service.lastReport("invoices/1", ref)).toMatchObject({ inUse: ["v2"] });
  });
});

describe("a value", () => {
  it("is shown by nothing that an agent prints or throws", async () => {
    const { service, client, clock, lines, rotate } = await setUp();
    const secret = await client.getSecret(ref);
    const held = await client.hold(ref);
    client.subscribeToRotation(ref, () => {
      throw new Error("oops");
    });
    await rotate("v2");
    await clock.advance(1_000);
    service.down = true;
    await clock.advance(30_000);
    const errors: unknown[] = [];
    await client.getSecret(ref).catch((error: unknown) => errors.push(error));
    expect(errors[0]).toBeInstanceOf(KeyturnError);
    const shown = [client, secret, held, errors].flatMap((thing) => [
      String(thing),
      inspect(thing, { depth: 12, showHidden: true }),
      JSON.stringify(thing),
    ]);
    for (const text of [...shown, ...lines, JSON.stringify(service.reports)])
      expect(text).not.toContain(canary);
    expect(shown.join()).toContain("[secret]");
    expect(secret.field("password")).toBe(canary);
  });
});
