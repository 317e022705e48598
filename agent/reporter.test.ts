import { expect, it } from "vitest";
import { FakeClock, settle } from "./fake-clock.contract.ts";
import { FakeService } from "./fake-service.contract.ts";
import { connectHost } from "./index.ts";

const ref = "billing/db";

async function setUp() {
  const service = new FakeService();
  const clock = new FakeClock();
  service.put(ref, "v1", {});
  const host = await connectHost({ transport: service, principal: "node-7", clock, chance: () => 0.5 });
  return { service, clock, host };
}

it("goes out in order, and its sequence grows over a restart", async () => {
  const { service, clock, host } = await setUp();
  const client = host.agent("a", "f");
  await client.getSecret(ref);
  client.used(ref, "v1");
  const release = client.retain(ref, "v0");
  await settle();
  release();
  await clock.advance(60_000);
  await host.close();
  const first = service.reports.map((report) => report.sequence);
  expect(first).toEqual([...first].sort((one, other) => one - other));
  expect(new Set(first).size).toBe(first.length);

  const again = await connectHost({ transport: service, principal: "node-7", clock });
  await again.agent("a", "f").getSecret(ref);
  expect(service.reports.at(-1)?.sequence).toBeGreaterThan(Math.max(...first));
  await again.close();
});

it("is sent three times per time to live when nothing changes, and at once when something does", async () => {
  const { service, clock, host } = await setUp();
  const client = host.agent("a", "f");
  await client.getSecret(ref);
  await settle();
  const before = service.reports.length;
  await clock.advance(30_000);
  const beats = service.reports.length - before;
  expect(beats).toBeGreaterThanOrEqual(9);
  expect(beats).toBeLessThanOrEqual(12);

  client.used(ref, "v1");
  await settle();
  expect(service.lastReport("node-7/a", ref)?.adopted).toBe("v1");
  await host.close();
});

it("of fifty agents in one process is one request, over one stream of events, after one read", async () => {
  const { service, clock, host } = await setUp();
  const clients = Array.from({ length: 50 }, (_, index) => host.agent(String(index), "f"));
  await Promise.all(clients.map((client) => client.getSecret(ref)));
  await settle();
  expect(service.reads(ref)).toBe(1);
  expect(service.streams).toBe(1);

  const before = service.calls.length;
  await clock.advance(3_400);
  const requests = service.calls.slice(before).filter((call) => call.startsWith("report"));
  expect(requests.length).toBe(1);
  expect(new Set(service.reports.slice(-50).map((report) => report.agent)).size).toBe(50);
  await host.close();
});

it("names what is in the cache, retained or held, and the newest version that was used", async () => {
  const { service, clock, host } = await setUp();
  const client = host.agent("a", "f");
  await client.getSecret(ref);
  client.used(ref, "v1");
  const release = client.retain(ref, "v1");
  service.put(ref, "v2", {});
  await client.refresh(ref);
  await settle();
  expect(service.lastReport("node-7/a", ref)).toMatchObject({ adopted: "v1", inUse: ["v2", "v1"] });
  client.used(ref, "v2");
  // A transaction that still runs on the old one says nothing against it.
  client.used(ref, "v1");
  release();
  release();
  await clock.advance(5_000);
  expect(service.lastReport("node-7/a", ref)).toMatchObject({ adopted: "v2", inUse: ["v2"] });
  await host.close();
});

it("that one secret spoils still goes out for the others", async () => {
  const { service, clock, host } = await setUp();
  service.put("not/ours", "v1", {});
  service.forbidden.add("not/ours");
  const client = host.agent("a", "f");
  const outcomes = await Promise.allSettled([client.getSecret(ref), client.getSecret("not/ours")]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected"]);
  expect(service.reads("not/ours")).toBe(0);

  // One that was allowed before, and no longer is, does not silence the others either.
  service.forbidden.delete("not/ours");
  await client.getSecret("not/ours");
  const heard = service.reports.length;
  await clock.advance(10_000);
  expect(service.reports.slice(heard).filter((report) => report.ref === "not/ours").length).toBeGreaterThan(
    2,
  );
  service.forbidden.add("not/ours");
  const before = service.reports.length;
  await clock.advance(10_000);
  expect(service.reports.slice(before).filter((report) => report.ref === ref).length).toBeGreaterThan(2);
  await host.close();
});

it("that could not be delivered is sent again soon, with what has changed since", async () => {
  const { service, clock, host } = await setUp();
  const client = host.agent("a", "f");
  await client.getSecret(ref);
  await settle();
  service.down = true;
  client.used(ref, "v1");
  await clock.advance(1_500);
  service.down = false;
  await clock.advance(1_000);
  expect(service.lastReport("node-7/a", ref)).toMatchObject({ adopted: "v1", inUse: ["v1"] });
  await host.close();
});

it("of two agents with one name is not made up: the second is refused until the first has left", async () => {
  const { host } = await setUp();
  const first = host.agent("a", "f");
  expect(() => host.agent("a", "f")).toThrowError(/already/);
  await first.close();
  expect((await host.agent("a", "f").getSecret(ref)).version).toBe("v1");
  await host.close();
});

it("of an agent that forgets a secret and takes it up again at once does not end with its leaving", async () => {
  const { service, host } = await setUp();
  const client = host.agent("a", "f");
  await client.getSecret(ref);
  const [, secret] = await Promise.all([client.forget(ref), client.getSecret(ref)]);
  await settle();
  expect(secret.version).toBe("v1");
  expect(service.lastReport("node-7/a", ref)).toMatchObject({ inUse: ["v1"] });
  expect(service.reports.filter((report) => report.leaving)).toEqual([]);
  await host.close();
});

it("says that one agent leaves while the others stay", async () => {
  const { service, clock, host } = await setUp();
  const [one, other] = [host.agent("1", "f"), host.agent("2", "f")];
  await Promise.all([one.getSecret(ref), other.getSecret(ref)]);
  await one.close();
  await clock.advance(60_000);
  expect(service.lastReport("node-7/1", ref)).toMatchObject({ leaving: true, inUse: [] });
  expect(service.lastReport("node-7/2", ref)?.leaving).toBeUndefined();

  await other.forget(ref);
  const reads = service.reads(ref);
  await clock.advance(60_000);
  expect(service.lastReport("node-7/2", ref)).toMatchObject({ leaving: true });
  // Nobody here uses it any more, so nobody reads it.
  expect(service.reads(ref)).toBe(reads);
  await host.close();
});
