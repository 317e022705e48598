import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { parseDocument } from "yaml";
import { openManifest } from "../cli/open.ts";
import { commit } from "../core/commit.ts";
import { storeValue } from "../core/operate.ts";
import type { Ports } from "../core/ports.ts";
import { reconcile } from "../core/reconcile.ts";
import { Secret } from "../core/secret.ts";
import { halt } from "../core/transition.ts";
import { canaries, channelValues } from "../notify/channels.contract.ts";
import { fine, type Receiver, startReceiver } from "../notify/receiver.contract.ts";
import { PagerDutyAlert, SlackMessage, WebhookBody } from "../notify/services.contract.ts";
import { CommandPlace, expectToFit } from "./command-place.ts";
import { type Running, startKeyturn } from "./keyturn-command.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

const ref = "billing/db";
const adminPassword = "canary-admin-Nt4-77b0e2";
const patience = { timeout: 30_000, interval: 50 };
// Each test starts a handful of processes.
vi.setConfig({ testTimeout: 120_000 });
let postgres: PostgresServer;
let place: CommandPlace;
let receiver: Receiver;
let owner: string;
let owners = 0;

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
});

afterAll(async () => {
  await postgres.stop();
});

/** One secret, and three channels that lead to one receiver. */
beforeEach(async () => {
  place = new CommandPlace(postgres, adminPassword);
  receiver = await startReceiver();
  owners += 1;
  owner = `notified${owners}`;
  await place.init(ref, owner);
  writeChannels(["hook", "chat", "pager"]);
  await inStore(async (ports) => {
    for (const [held, value] of Object.entries(channelValues(receiver))) {
      await storeValue(held, ports, new Secret(JSON.stringify({ value })), {});
    }
  });
  return () => place.remove();
});

function writeChannels(names: readonly string[]): void {
  const document = parseDocument(readFileSync(place.manifestPath, "utf8"));
  const store = document.getIn(["secrets", ref, "store"]);
  for (const held of Object.keys(channelValues(receiver))) {
    document.setIn(["secrets", held], { store, type: "held" });
  }
  const tls = { ca: receiver.ca };
  const all = {
    hook: { webhook: { url: `${receiver.url}/hook`, signingSecret: { secret: "ops/signing" }, tls } },
    chat: { slack: { url: { secret: "ops/slack" }, tls } },
    pager: {
      pagerduty: { routingKey: { secret: "ops/routing" }, url: `${receiver.url}/v2/enqueue`, tls },
    },
  };
  const chosen = Object.entries(all).filter(([name]) => names.includes(name));
  document.setIn(["notify"], Object.fromEntries(chosen));
  writeFileSync(place.manifestPath, document.toString());
}

function serve(): Running {
  const { environment, directory } = place;
  const running = startKeyturn(["serve", "--json"], { environment, directory });
  onTestFinished(async () => {
    running.child.kill("SIGKILL");
    place.printed.push((await running.ended).stderr);
  });
  return running;
}

async function stop({ child, ended }: Running): Promise<void> {
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  place.printed.push(stderr);
  expect(code).toBe(0);
}

/** What came so far: each webhook as its kind and status, each alert as its action. */
function hooks(): readonly string[] {
  return receiver.bodies("/hook").map((body) => {
    const { data } = WebhookBody.parse(body);
    return `${data.kind} ${data.status}`;
  });
}

function alerts(): readonly string[] {
  return receiver.bodies("/v2/enqueue").map((body) => PagerDutyAlert.parse(body).event_action);
}

async function inStore(work: (ports: Ports) => Promise<void>): Promise<void> {
  process.env.XDG_CONFIG_HOME = place.environment.XDG_CONFIG_HOME;
  await using opened = await openManifest(place.manifestPath);
  await work((await opened.secret(ref)).ports);
}

/** As a step does that finds the target in other hands: the record is halted, and its event goes out. */
async function callPerson(): Promise<void> {
  await inStore(async (ports) => {
    const loaded = await ports.journal.load(ref);
    if (loaded === undefined) throw new Error("nothing was rotated yet");
    const why = { code: "superseded", message: "epoch 9 was seen at the target" };
    await commit(ports, loaded.revision, halt(loaded.record, why, Date.now()), "tester");
    await reconcile(ref, ports, { worker: "tester" });
  });
}

async function personLooks(): Promise<void> {
  expect(await place.keyturn(["resume", ref])).toMatchObject({ code: 0 });
}

/** No value was printed, sent or kept in the notifications' own files. */
function expectNoValues(): void {
  expect(place.leaked()).toEqual([]);
  const folder = join(place.directory, ".keyturn");
  const files = readdirSync(folder).filter((name) => name.startsWith("notify.db"));
  expect(files.length).toBeGreaterThan(0);
  const kept = files.map((name) => readFileSync(join(folder, name), "latin1"));
  const sent = receiver.received.map(({ headers, body }) => JSON.stringify({ headers, body }));
  const own = [canaries.signing, canaries.signing.slice(6), canaries.slackPath];
  for (const value of [...place.values, ...own]) {
    expect(kept.filter((text) => text.includes(value))).toEqual([]);
    expect(sent.filter((text) => text.includes(value))).toEqual([]);
    expect(place.printed.filter((text) => text.includes(value))).toEqual([]);
  }
  const withKey = receiver.received.filter(({ body }) => body.includes(canaries.routing));
  expect(new Set(withKey.map(({ path }) => path))).toEqual(new Set(["/v2/enqueue"]));
  expect([...kept, ...place.printed].filter((text) => text.includes(canaries.routing))).toEqual([]);
}

describe("the service tells", () => {
  test("a leak and its end, and a rotation that was undone, by each channel in its own words", async () => {
    const running = serve();
    await place.json(["rotate", ref, "--wait"]);
    await place.current(ref);
    expect(await place.keyturn(["revoke", ref, "--yes"])).toMatchObject({ code: 0 });
    await vi.waitFor(() => expect(hooks()).toEqual(["revoked opened", "revoked resolved"]), patience);
    await vi.waitFor(() => expect(alerts()).toEqual(["trigger", "resolve"]), patience);

    // Somebody's own role has the name that the next version would have.
    const live = await place.current(ref);
    const taken = live.username.endsWith("_a") ? `${owner}_b` : `${owner}_a`;
    const superuser = await postgres.client();
    await superuser.query(`DROP ROLE IF EXISTS ${taken}`);
    await superuser.query(`CREATE ROLE ${taken} LOGIN`);
    await place.keyturn(["rotate", ref, "--wait"]);
    await vi.waitFor(() => expect(hooks()).toContain("undone opened"), patience);
    await superuser.query(`DROP ROLE ${taken}`);
    await superuser.end();
    await place.json(["rotate", ref, "--wait"]);
    await place.current(ref);
    await vi.waitFor(() => expect(hooks()).toContain("undone resolved"), patience);
    await vi.waitFor(() => expect(alerts()).toEqual(["trigger", "resolve", "trigger", "resolve"]), patience);

    for (const { headers, body, path } of receiver.received) {
      if (path !== "/hook") continue;
      const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
      expect(() => new Webhook(canaries.signing).verify(body, given)).not.toThrow();
    }
    const chat = receiver.bodies(canaries.slackPath).map((body) => SlackMessage.parse(body).text);
    expect(chat[0]).toBe(`[critical] a credential of ${ref} has leaked and is being cut off`);
    await stop(running);
    expectNoValues();
  });

  test("what it could not deliver, after it was killed and started again: under the same id, and once", async () => {
    await place.json(["rotate", ref]);
    receiver.behave((response) => void response.writeHead(503).end());
    const first = serve();
    await callPerson();
    await vi.waitFor(() => expect(hooks().length).toBeGreaterThan(0), patience);
    first.child.kill("SIGKILL");
    place.printed.push((await first.ended).stderr);

    receiver.behave(fine);
    const before = receiver.received.length;
    const second = serve();
    await vi.waitFor(() => expect(receiver.received.length).toBe(before + 3), patience);
    const ids = receiver.received.flatMap(({ headers }) => headers["webhook-id"] ?? []);
    expect(new Set(ids).size).toBe(1);
    await personLooks();
    await vi.waitFor(() => expect(receiver.received.length).toBe(before + 6), patience);
    expect(hooks().slice(-2)).toEqual(["halted opened", "halted resolved"]);
    await stop(second);
    expectNoValues();
  });

  test("a channel that was written into the manifest while it runs", async () => {
    await place.json(["rotate", ref]);
    writeChannels(["chat"]);
    const running = serve();
    await callPerson();
    await vi.waitFor(() => expect(receiver.bodies(canaries.slackPath)).toHaveLength(1), patience);
    writeChannels(["chat", "pager"]);
    await vi.waitFor(() => expect(alerts()).toEqual(["trigger"]), patience);
    expect(receiver.bodies(canaries.slackPath)).toHaveLength(1);
    await stop(running);
  });

  test("although a receiver hangs: neither a rotation nor the end waits for it", async () => {
    receiver.behave(() => undefined);
    const running = serve();
    await place.json(["rotate", ref]);
    await callPerson();
    await vi.waitFor(() => expect(receiver.received.length).toBe(3), patience);
    await personLooks();
    await place.json(["rotate", ref, "--wait"]);
    await stop(running);
    expect(place.printed.filter((text) => text.includes('"notified"'))).toEqual([]);
  });
});

describe("keyturn notify test", () => {
  async function send(channel: string, code = 0): Promise<Record<string, unknown>> {
    const ended = await place.keyturn(["notify", "test", channel, "--json"]);
    expect(ended).toMatchObject({ code });
    expectToFit("notify test", ended.stdout);
    return JSON.parse(ended.stdout);
  }

  test("sends to each kind, and ends the alert that it began", async () => {
    for (const channel of ["hook", "chat", "pager"]) {
      expect(await send(channel)).toMatchObject({
        channel,
        delivered: true,
        host: receiver.host,
        status: 200,
      });
    }
    expect(hooks()).toEqual(["test opened"]);
    expect(alerts()).toEqual(["trigger", "resolve"]);
    const { code, stdout } = await place.keyturn(["notify", "test", "chat"]);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^chat \(slack\): .*200/),
    });
    expect(place.printed.join("\n")).not.toContain(canaries.slackPath);
    expect(place.leaked()).toEqual([]);
  });

  test("says what is wrong, by the exit code too", async () => {
    expect(await send("nobody", 2)).toMatchObject({ error: { message: expect.stringContaining("hook") } });
    receiver.behave((response) => void response.writeHead(500).end());
    expect(await send("hook", 5)).toMatchObject({ delivered: false, error: { code: "unreachable" } });
    receiver.behave((response) => void response.writeHead(403).end("action_prohibited"));
    expect(await send("chat", 3)).toMatchObject({
      error: { code: "target-rejected", message: expect.stringContaining("action_prohibited") },
    });
    expect((await place.keyturn(["put", "ops/signing"], "not a key")).code).toBe(0);
    expect(await send("hook", 2)).toMatchObject({ error: { code: "credential-invalid" } });
    const stranger = await startReceiver();
    writeFileSync(receiver.ca, readFileSync(stranger.ca));
    expect(await send("pager", 3)).toMatchObject({ error: { code: "tls-failed" } });
  });
});

test("a channel whose secret is missing is said by the service, which goes on", async () => {
  await place.json(["rotate", ref]);
  const document = parseDocument(readFileSync(place.manifestPath, "utf8"));
  document.setIn(["secrets", "ops/later"], {
    store: document.getIn(["secrets", ref, "store"]),
    type: "held",
  });
  document.setIn(["notify", "hook", "webhook", "signingSecret"], { secret: "ops/later" });
  writeFileSync(place.manifestPath, document.toString());
  expect((await place.keyturn(["notify", "test", "hook"])).code).toBe(4);
  const running = serve();
  await callPerson();
  await vi.waitFor(() => expect(alerts()).toEqual(["trigger"]), patience);
  await personLooks();
  await place.json(["rotate", ref, "--wait"]);
  expect((await place.keyturn(["put", "ops/later"], canaries.signing)).code).toBe(0);
  await vi.waitFor(() => expect(hooks()).toContain("halted opened"), patience);
  await stop(running);
  const log = place.printed.find((text) => text.includes("a channel cannot be used as it is"));
  expect(log).toContain("keyturn put ops/later");
});
