import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { format, inspect } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { hostEvents } from "../core/host-messages.ts";
import { AwsBus } from "./aws-bus.ts";
import type { AwsOptions } from "./aws-options.ts";
import { systemClock } from "./clock.ts";
import { FakeAws, principal } from "./fake-aws.contract.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connect, connectHost, type RotationNotice } from "./index.ts";

const ref = "billing/db";
const fleet = "invoices";
const canary = "canary-5f0c9e";

/** Whoever waits for an answer that does not come waits a twentieth as long. */
const hasty = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 20, signal),
};

async function setUp(changes: { readonly aws?: Partial<AwsOptions>; readonly agent?: string } = {}) {
  const service = new FakeService();
  service.put(ref, "v1", { username: "billing_a", password: canary });
  const fake = await FakeAws.start(service);
  const lines: string[] = [];
  const client = await connect({
    clock: hasty,
    aws: { ...fake.options, ...changes.aws },
    ...(changes.agent === undefined ? {} : { agent: changes.agent }),
    fleet,
    spreadMs: 20,
    log: (...line) => lines.push(format(...line)),
  });
  const close = async () => {
    await client.close();
    await fake[Symbol.asyncDispose]();
  };
  const rotate = (version: string) => {
    service.put(ref, version, { username: "billing_b", password: canary });
    service.announce(ref, version);
  };
  return { service, fake, client, lines, rotate, [Symbol.asyncDispose]: close };
}

describe("an agent on AWS", () => {
  it("enrols, is known before it reads, and reads by its own identity what its fleet may", async () => {
    await using world = await setUp();
    const secret = await world.client.getSecret(ref);
    expect([secret.version, secret.field("username"), secret.overlap]).toEqual([
      "v1",
      "billing_a",
      "both-live",
    ]);
    expect(world.client.agent).toBe(principal);
    expect(await world.client.listSecrets()).toEqual([{ ref, type: "test" }]);
    const asked = world.service.calls.filter((call) => call.endsWith(ref));
    expect(asked.slice(0, 2)).toEqual([`report ${ref}`, `read ${ref}`]);
    expect(world.service.reports[0]).toMatchObject({ agent: principal, fleet, inUse: [], holds: [] });
    expect(world.fake.saidOf(hostEvents.enrolled)).toEqual([{ host: principal }]);
  });

  it("hears of a rotation by its queue, and reports when it has the new version", async () => {
    await using world = await setUp();
    const notices: RotationNotice[] = [];
    world.client.subscribeToRotation(ref, (notice) => notices.push(notice));
    await world.client.listSecrets();
    await vi.waitUntil(() => world.service.reads(ref) === 1);
    world.rotate("v2");
    await vi.waitUntil(() => notices.length === 1, 3_000);
    expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: false }]);
    world.fake.isWrapping = true;
    world.rotate("v3");
    await vi.waitUntil(() => notices.length === 2, 3_000);
    world.rotate("v2");
    await vi.waitUntil(() => notices.length === 3, 3_000);
    world.client.used(ref, "v2");
    await vi.waitUntil(() => world.service.lastReport(principal, ref)?.adopted === "v2", 3_000);
    expect(world.service.lastReport(principal, ref)?.inUse).toEqual(["v2"]);
    await vi.waitUntil(
      () => world.fake.model.queues.get(world.fake.queueOf(principal))?.messages.length === 0,
      3_000,
    );
  });

  it("is not misled by forged, broken and repeated messages, whoever sent them", async () => {
    await using world = await setUp();
    await world.client.getSecret(ref);
    const queue = world.fake.queueOf(principal);
    const forgedWelcome = JSON.stringify({ say: "welcome", secrets: [] });
    for (const body of ["garbage", "{}", '{"type":', forgedWelcome]) world.fake.model.put(queue, body);
    const mark = { "keyturn-host": { DataType: "String", StringValue: "heard" } };
    world.fake.model.put(queue, "no message at all", mark);
    for (let count = 0; count < 20; count += 1) world.service.announce(ref, `forged-${count}`);
    await vi.waitUntil(() => world.service.reads(ref) >= 2, 3_000);
    await sleep(100);
    expect((await world.client.getSecret(ref)).version).toBe("v1");
    expect(world.service.reads(ref)).toBeLessThanOrEqual(4);
    expect(await world.client.listSecrets()).toEqual([{ ref, type: "test" }]);
    expect(world.lines).toEqual([expect.stringContaining("the service sent a message that is none")]);
  });

  it("notices a rotation on its pulse when its event was lost", async () => {
    await using world = await setUp();
    world.service.cacheTtlMs = 300;
    world.fake.welcome(principal);
    await vi.waitUntil(async () => {
      await world.client.refresh(ref);
      return world.service.lastReport(principal, ref) !== undefined;
    });
    await sleep(50);
    await world.client.refresh(ref);
    world.service.put(ref, "v2", {});
    await vi.waitUntil(async () => (await world.client.getSecret(ref)).version === "v2", 3_000);
  });

  it("enrols again when its queue was deleted, and reads what it may have missed", async () => {
    await using world = await setUp();
    await world.client.getSecret(ref);
    await vi.waitUntil(() => world.fake.model.calls.includes("ReceiveMessage"));
    world.fake.model.queues.clear();
    world.service.put(ref, "v2", {});
    await vi.waitUntil(async () => (await world.client.getSecret(ref)).version === "v2", 5_000);
    expect(world.fake.saidOf(hostEvents.enrolled)).toHaveLength(2);
    expect(world.lines.join()).toContain("the queue of this process is gone");
  });

  it("with a name shares its identity with others, each with its own queue", async () => {
    await using world = await setUp({ agent: "worker-7" });
    await world.client.getSecret(ref);
    expect(world.client.agent).toBe(`${principal}/worker-7`);
    expect(world.fake.saidOf(hostEvents.enrolled)).toEqual([{ host: `${principal}/worker-7` }]);
    expect([...world.fake.model.queues.keys()]).toEqual([world.fake.queueOf(`${principal}/worker-7`)]);
    await using host = await connectHost({ aws: world.fake.options, fleet, process: "p1" });
    await host.agent("a", fleet).getSecret(ref);
    expect(world.service.lastReport(`${principal}/p1/a`, ref)).toBeDefined();
    await expect(host.agent("b", "others").getSecret(ref)).rejects.toMatchObject({ code: "access-denied" });
    await expect(connect({ aws: world.fake.options, fleet, agent: "a/b" })).rejects.toMatchObject({
      code: "input-invalid",
    });
  });

  it("says that it ends, and asks nothing more", async () => {
    const world = await setUp();
    await world.client.getSecret(ref);
    await world.client.close();
    expect(world.service.lastReport(principal, ref)).toMatchObject({ leaving: true });
    await vi.waitUntil(() => world.fake.saidOf(hostEvents.left).length === 1, 3_000);
    await expect(world.client.getSecret(ref)).rejects.toMatchObject({ code: "request-refused" });
    const calls = world.fake.model.calls.length;
    await sleep(300);
    expect(world.fake.model.calls.length).toBe(calls);
    await world[Symbol.asyncDispose]();
  });

  it("does not keep a process alive that has nothing else to do", async () => {
    await using world = await setUp();
    const program = `
      import { connect } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      const client = await connect({ aws: ${JSON.stringify(world.fake.options)}, fleet: "${fleet}", agent: "short" });
      console.log((await client.getSecret("${ref}")).version);`;
    const begun = Date.now();
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const [code] = await once(child, "exit");
    expect([code, output.trim()]).toEqual([0, "v1"]);
    expect(Date.now() - begun).toBeLessThan(10_000);
  });
});

describe("a process", () => {
  it("that closes its clients at its end says of each that it leaves, and ends", async () => {
    await using world = await setUp();
    const options = JSON.stringify(world.fake.options);
    const program = `
      import { connect } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      const names = Array.from({ length: 10 }, (_, index) => "host-" + index);
      const clients = await Promise.all(names.map(async (agent) => {
        const client = await connect({ aws: ${options}, fleet: "${fleet}", agent });
        const { version } = await client.getSecret("${ref}");
        client.used("${ref}", version);
        return client;
      }));
      await Promise.all(clients.map((client) => client.close()));
      console.log("closed");`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const [code] = await once(child, "exit");
    expect([code, output.trim()]).toEqual([0, "closed"]);
    for (let index = 0; index < 10; index += 1) {
      expect(world.service.lastReport(`${principal}/host-${index}`, ref)).toMatchObject({ leaving: true });
    }
  });
});

describe("a read", () => {
  it("of what is not the fleet's is refused, and asked for once more: the manifest may have changed", async () => {
    await using world = await setUp();
    await world.client.getSecret(ref);
    await expect(world.client.getSecret("other/db")).rejects.toMatchObject({ code: "access-denied" });
    world.service.put("other/db", "v1", {});
    world.fake.welcome(principal);
    await vi.waitUntil(async () => (await world.client.listSecrets()).length === 2, 3_000);
    expect((await world.client.getSecret("other/db")).version).toBe("v1");
  }, 15_000);

  it("goes on although the service says nothing: by the rule that suits every type, and for a minute", async () => {
    const service = new FakeService();
    service.put(ref, "v1", { username: "billing_a" });
    await using fake = await FakeAws.start(service);
    fake.enrols = false;
    const lines: string[] = [];
    await using client = await connect({
      aws: fake.options,
      fleet,
      clock: hasty,
      log: (...line) => lines.push(format(...line)),
    });
    const secret = await client.getSecret(ref);
    expect([secret.version, secret.overlap]).toEqual(["v1", "cutover"]);
    await expect(client.listSecrets()).rejects.toMatchObject({ code: "bus-unavailable" });
    expect(lines.join()).toContain("the service does not say what may be read");
  }, 20_000);

  it("of pending is for fleets of cutover types, and of a candidate that is one", async () => {
    await using world = await setUp();
    world.service.putPending(ref, "v2", {});
    expect(await world.client.readPending(ref)).toBeUndefined();
    expect(world.service.calls).not.toContain(`read pending ${ref}`);
    world.service.overlap = "cutover";
    world.fake.welcome(principal);
    await vi.waitUntil(async () => (await world.client.readPending(ref))?.version === "v2", 3_000);
    for (const labels of [
      ["AWSPENDING", "AWSCURRENT"],
      ["AWSPENDING", "keyturn-discarded-v2"],
    ]) {
      world.fake.labels = labels;
      expect(await world.client.readPending(ref)).toBeUndefined();
    }
    world.fake.model.faults.set("GetSecretValue", "AccessDeniedException");
    expect(await world.client.readPending(ref)).toBeUndefined();
  });

  it("finds nothing in a secret that begins without a value", async () => {
    await using world = await setUp();
    world.service.put(ref, "keyturn-begins-here-and-holds-no-value", {});
    await expect(world.client.getSecret(ref)).rejects.toMatchObject({ code: "secret-missing" });
    world.service.put(ref, "v3", { keyturn: "no value yet" });
    await expect(world.client.getSecret(ref)).rejects.toMatchObject({ code: "secret-missing" });
  });

  it.each([
    ["ThrottlingException", "throttled"],
    ["ExpiredTokenException", "role-lacks-rights"],
    ["AccessDeniedException", "role-lacks-rights"],
    ["InternalServiceError", "store-unavailable"],
    ["ResourceNotFoundException", "secret-missing"],
    ["cut", "store-unavailable"],
  ])("that meets %s says so, and nothing of what it asked or was told", async (fault, code) => {
    await using world = await setUp();
    world.fake.model.faults.set("GetSecretValue", fault);
    const thrown: unknown = await world.client.getSecret(ref).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code });
    expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
    world.fake.model.faults.clear();
    expect((await world.client.getSecret(ref)).version).toBe("v1");
  });
});

describe("a hold", () => {
  it("is granted when the service has answered, and stays so", async () => {
    await using world = await setUp();
    await using held = await world.client.hold(ref);
    expect(held.secret.version).toBe("v1");
    expect(world.service.lastReport(principal, ref)?.holds).toMatchObject([{ version: "v1" }]);
    expect(held.lost.aborted).toBe(false);
  });

  it("on a version that is being retired is refused, and taken on the new one", async () => {
    await using world = await setUp();
    await world.client.getSecret(ref);
    world.service.retiring.add("v1");
    world.service.put(ref, "v2", {});
    await using held = await world.client.hold(ref);
    expect(held.secret.version).toBe("v2");
  });

  it("that is withdrawn later is told so on a beat", async () => {
    await using world = await setUp();
    world.service.cacheTtlMs = 150;
    world.fake.welcome(principal);
    await sleep(100);
    await using held = await world.client.hold(ref);
    world.service.retiring.add("v1");
    await vi.waitUntil(() => held.lost.aborted, 5_000);
  });

  it("that nobody answers fails within seconds, and leaves nothing behind", async () => {
    await using world = await setUp();
    await world.client.getSecret(ref);
    world.fake.answers = false;
    await expect(world.client.hold(ref)).rejects.toMatchObject({ code: "bus-unavailable" });
    await vi.waitUntil(() => world.service.lastReport(principal, ref)?.holds.length === 0, 15_000);
  }, 40_000);
});

describe("what is said on the bus", () => {
  it("and not taken is said again, and nothing else", async () => {
    await using world = await setUp();
    let refusals = 2;
    world.fake.refusing = ({ DetailType }) =>
      DetailType === hostEvents.reported && refusals-- > 0 ? "ThrottlingException" : undefined;
    await world.client.getSecret(ref);
    expect(world.service.reports.filter(({ inUse }) => inUse.length === 0)).toHaveLength(1);
    expect(refusals).toBeLessThan(0);
  });

  it.each([
    ["ThrottlingException", "throttled"],
    ["InternalFailure", "bus-unavailable"],
    ["NotAuthorizedForSourceException", "bus-unavailable"],
    ["AccessDeniedException", "role-lacks-rights"],
  ])("and never taken for %s is an error, and nothing is read", async (error, code) => {
    await using world = await setUp();
    world.fake.refusing = () => error;
    const thrown: unknown = await world.client.getSecret(ref).catch((one: unknown) => one);
    expect(thrown).toMatchObject({ code });
    expect(inspect(thrown, { depth: 9 })).not.toContain("canary");
    expect(world.service.reads(ref)).toBe(0);
  });

  it("and taken is not said again for the sake of what was not", async () => {
    await using fake = await FakeAws.start(new FakeService());
    const bus = new AwsBus({ aws: fake.options, fleet, principal, clock: systemClock, chance: () => 0 });
    let refusals = 1;
    fake.refusing = ({ Detail }) => (Detail === '"b"' && refusals-- > 0 ? "InternalFailure" : undefined);
    await bus.say(["a", "b", "c"].map((detail) => ({ type: hostEvents.left, detail })));
    expect(fake.saidOf(hostEvents.left)).toEqual(["a", "c", "b"]);
    await expect(bus.say([{ type: hostEvents.left, detail: "x".repeat(241 * 1024) }])).rejects.toMatchObject({
      code: "input-invalid",
    });
    bus.close();
  });

  it("tells news from beats", async () => {
    await using world = await setUp();
    world.service.cacheTtlMs = 150;
    world.fake.welcome(principal);
    await sleep(100);
    await world.client.getSecret(ref);
    await vi.waitUntil(() => world.service.reports.length > 6, 5_000);
    const news = world.fake.saidOf(hostEvents.reported).filter((said) => Object(said).news.length > 0);
    expect(news.length).toBeLessThanOrEqual(3);
    expect(news).toContainEqual(expect.objectContaining({ news: [ref] }));
  });

  it("goes in few calls, none of them larger than the bus takes", async () => {
    const service = new FakeService();
    for (let count = 0; count < 300; count += 1) service.put(`s/${count}`, "v1", {});
    await using fake = await FakeAws.start(service);
    await using client = await connect({ aws: fake.options, fleet });
    await client.listSecrets();
    await Promise.all(service.refs().map((one) => client.getSecret(one)));
    const before = fake.model.calls.filter((call) => call === "PutEvents").length;
    for (const one of service.refs()) client.used(one, "v1");
    await vi.waitUntil(
      () => service.refs().every((one) => service.lastReport(principal, one)?.adopted === "v1"),
      5_000,
    );
    expect(fake.model.calls.filter((call) => call === "PutEvents").length - before).toBeLessThanOrEqual(4);
    expect(Math.max(...fake.said.map(({ Detail }) => Detail.length))).toBeLessThan(64 * 1024);
  }, 20_000);
});

describe("a Lambda function", () => {
  const lambda = { secrets: { [ref]: { type: "test", overlap: "both-live" } as const }, maxStaleMs: 200 };

  it("has no queue, reads again after maxStale, and reports all the same", async () => {
    await using world = await setUp({ aws: { lambda } });
    expect(await world.client.listSecrets()).toEqual([{ ref, type: "test" }]);
    expect((await world.client.getSecret(ref)).version).toBe("v1");
    world.service.put(ref, "v2", {});
    await sleep(210);
    expect((await world.client.getSecret(ref)).version).toBe("v2");
    world.client.used(ref, "v2");
    await vi.waitUntil(() => world.service.lastReport(world.client.agent, ref)?.adopted === "v2");
    expect(world.client.agent).toMatch(new RegExp(`^${principal}/[0-9a-f-]{36}$`));
    expect(world.fake.saidOf(hostEvents.enrolled)).toEqual([]);
    expect(world.fake.model.calls).not.toContain("GetQueueUrl");
  });

  it("holds nothing, and reads nothing that it does not name", async () => {
    await using world = await setUp({ aws: { lambda } });
    await expect(world.client.hold(ref)).rejects.toMatchObject({ code: "request-refused" });
    await expect(world.client.getSecret("other/db")).rejects.toMatchObject({ code: "input-invalid" });
  });
});

describe("an identity", () => {
  it("that STS does not tell is an error, whatever it is", async () => {
    await using fake = await FakeAws.start(new FakeService());
    const options = fake.options;
    fake.userId = "";
    await expect(connect({ aws: options, fleet })).rejects.toMatchObject({ code: "role-lacks-rights" });
    fake.model.faults.set("GetCallerIdentity", "ExpiredToken");
    const thrown: unknown = await connect({ aws: options, fleet }).catch((one: unknown) => one);
    expect(thrown).toMatchObject({
      code: "role-lacks-rights",
      message: "STS: asking who this process is: ExpiredToken",
    });
  });
});
