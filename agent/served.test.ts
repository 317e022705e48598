import { expect, it, vi } from "vitest";
import { Secret } from "../core/secret.ts";
import { world } from "../local/agent-server.contract.ts";
import { connectHost, type RotationNotice } from "./index.ts";

const ref = "app/db";

it("agents of one process read, hear, report and hold through the local service, over a restart of it", async () => {
  const { local, token, serve } = await world();
  const server = await serve();
  const { socketPath: socket, store, journal, bus } = local;
  await using host = await connectHost({ socket, token, principal: "host-1", spreadMs: 10 });
  const [one, other] = [host.agent("1", "agents"), host.agent("2", "agents")];
  const notices: RotationNotice[] = [];
  one.subscribeToRotation(ref, (notice) => notices.push(notice));
  expect((await one.getSecret(ref)).field("password")).toBe(`current of ${ref}`);
  expect((await other.getSecret(ref)).version).toBe("v1");
  await expect(one.getSecret("other/db")).rejects.toMatchObject({ code: "access-denied" });
  expect((await one.listSecrets()).map((secret) => secret.ref)).toEqual([ref, "app/cut"]);
  expect(await one.readPending(ref)).toBeUndefined();
  expect(await one.readPending("app/cut")).toBeUndefined();
  await one.hold(ref, async () => undefined);

  await store.savePending(ref, "v2", new Secret('{"password":"next"}'));
  await store.promote(ref, "v2", "v1");
  await bus.publish({
    specversion: "1.0",
    id: `${ref}/2/announce`,
    source: "keyturn/test",
    subject: ref,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    type: "dev.keyturn.secret.rotated.v1",
    data: { epoch: 2, version: "v2", previous: "v1", urgent: true },
  });
  await vi.waitUntil(() => notices.length > 0, 3_000);
  expect(notices).toEqual([{ ref, version: "v2", previous: "v1", urgent: true }]);
  one.used(ref, "v2");
  await vi.waitUntil(async () => {
    const agents = await journal.agents(ref);
    const [first, second] = ["host-1/1", "host-1/2"].map((id) => agents.find(({ agent }) => agent === id));
    return first?.adopted === "v2" && first.inUse.join() === "v2" && second?.inUse.join() === "v2";
  }, 3_000);

  await server.close();
  const cold = one.getSecret("app/cut");
  await serve();
  expect((await cold).version).toBe("v1");
  await host.close();
  expect((await journal.agents(ref)).map(({ leaving }) => leaving)).toEqual([true, true]);
});
