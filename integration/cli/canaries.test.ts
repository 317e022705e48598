import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { ProcessWatch } from "../../canaries/process-watch.ts";
import { leavesOf, pathOf } from "../../cli/commands-page.ts";
import { keyturnProgram } from "../../cli/main.ts";
import { canaries, channelValues } from "../../notify/channels.contract.ts";
import { type Receiver, startReceiver } from "../../notify/receiver.contract.ts";
import { CommandPlace } from "../command-place.ts";
import { startKeyturn } from "../keyturn-command.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../otlp-receiver.ts";
import { mostTalkative, type PostgresServer, startPostgres } from "../postgres-server.ts";

/** A day with every command, the service, its notifications and its telemetry: no secret value is anywhere but where it belongs. */
const ref = "billing/db";
const adminPassword = "canary-day-admin-2Nv8-c1";
const wrongPassword = "canary-day-wrong-6Jt4-c2";
let postgres: PostgresServer;
let place: CommandPlace;
let receiver: Receiver;
let collector: OtlpReceiver;

beforeAll(async () => {
  postgres = await startPostgres({ settings: mostTalkative });
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
  collector = await startOtlpReceiver();
  place = new CommandPlace(postgres, adminPassword);
  place.environment.TMPDIR = join(place.directory, "tmp");
  mkdirSync(place.environment.TMPDIR);
  Object.assign(place.environment, collector.environment, { LOG_LEVEL: "debug" });
});

afterAll(async () => {
  await postgres.stop();
  await collector[Symbol.asyncDispose]();
  place.remove();
});

function writeChannels(): void {
  const document = parseDocument(readFileSync(place.manifestPath, "utf8"));
  for (const held of Object.keys(channelValues(receiver)))
    document.setIn(["secrets", held], { store: "here", type: "held" });
  const tls = { ca: receiver.ca };
  const on = ["failed", "revoked"];
  document.setIn(["notify"], {
    hook: { webhook: { url: `${receiver.url}/hook`, signingSecret: { secret: "ops/signing" }, tls }, on },
    chat: { slack: { url: { secret: "ops/slack" }, tls }, on },
    pager: { pagerduty: { routingKey: { secret: "ops/routing" }, url: `${receiver.url}/v2/enqueue`, tls } },
  });
  document.setIn(["secrets", ref, "notify"], ["hook", "chat", "pager"]);
  writeFileSync(place.manifestPath, document.toString());
}

/** What the commands of the day are, and with what on standard input; how they end is others' business, as long as it is no defect. */
function day(leaked: string): readonly (readonly [line: string, input?: string])[] {
  const admin = `keyturn_admin\n${adminPassword}\n`;
  return [
    ["lint"],
    ["plan"],
    ["rotators"],
    ["completion bash"],
    ["enrol host-1 --fleet invoice-agents --out host-1.token"],
    ["notify test hook"],
    ["notify test chat"],
    ["notify test pager"],
    [`hold ${ref} --reason a-report`],
    [`rotate ${ref}`],
    [`release ${ref}`],
    [`rollback ${ref}`],
    [`pause ${ref}`],
    ["resume --all"],
    [`retire ${ref} --insist --wait --timeout 20`],
    [`cancel ${ref}`],
    [`watch ${ref} --until idle --timeout 20`],
    [`rotate ${ref} --wait`],
    ["revoke --leaked", `{"line": "PGPASSWORD=${leaked}", "b64": "${btoa(leaked)}"}`],
    [`import ${ref} --plan`, JSON.stringify({ username: "billing_a", password: wrongPassword })],
    [`import ${ref}`, `postgres://billing_a:${wrongPassword}@localhost/postgres`],
    ["put db-admin", `{"username": "keyturn_admin", "password": "${wrongPassword}"`],
    ["put db-admin", `keyturn_admin\n${wrongPassword}\n`],
    ["put db-admin", JSON.stringify({ username: "keyturn_admin", password: wrongPassword })],
    [`rotate ${ref} --timeout 20`],
    ["doctor"],
    ["put db-admin", JSON.stringify({ username: "keyturn_admin", password: adminPassword })],
    [`doctor ${ref} --fix`],
    ["approve", `{"kind": "keyturn-revoke-request", "by": "${wrongPassword}"}`],
    [`revoke ${ref} --direct`, `keyturn_admin\n${wrongPassword}\n`],
    [`revoke ${ref} --direct --yes`, admin],
    [`doctor ${ref} --fix`],
    ["status --long"],
    ["debts"],
    ["audit sign"],
    ["audit root"],
    ["audit keys"],
    ["audit rotate-key"],
    ["audit verify"],
    ["audit export --format csv"],
    ["audit export"],
  ];
}

test("a whole day leaves no value anywhere", async () => {
  receiver = await startReceiver();
  const processes = join(place.directory, "processes");
  await using processWatch = new ProcessWatch(processes);
  await processWatch.isLooking;
  await place.init(ref, "works");
  writeChannels();
  for (const [held, value] of Object.entries(channelValues(receiver))) {
    expect(await place.keyturn(["put", held], value)).toMatchObject({ code: 0 });
  }
  await place.json(["rotate", ref]);
  const first = await place.current(ref);
  const { environment, directory } = place;
  const service = startKeyturn(["serve", "--json", "--verbose"], { environment, directory });
  const done = new Set(["init", "serve"]);
  const codes: Record<string, number | null> = {};
  for (const [line, input] of day(first.password)) {
    const { code } = await place.keyturn(line.split(" "), input);
    codes[line] = code;
    await place.current(ref);
    done.add(
      line.startsWith("audit") || line.startsWith("notify")
        ? line.split(" ", 2).join(" ")
        : (line.split(" ")[0] ?? ""),
    );
  }
  expect(Object.entries(codes).filter(([, code]) => code === 1)).toEqual([]);
  expect([...done].sort()).toEqual(
    leavesOf(await keyturnProgram())
      .map(pathOf)
      .sort(),
  );
  expect(codes).toMatchObject({
    "revoke --leaked": 0,
    [`revoke ${ref} --direct --yes`]: 0,
    "audit verify": 0,
  });
  await expect.poll(() => receiver.bodies("/hook").length, { timeout: 30_000 }).toBeGreaterThan(1);
  service.child.kill("SIGTERM");
  const served = await service.ended;
  expect(served).toMatchObject({ code: 0 });

  const values = [
    ...place.values,
    wrongPassword,
    canaries.signing,
    canaries.signing.slice("whsec_".length),
    canaries.slackPath,
    canaries.routing,
    ...privateFiles().values(),
  ];
  const forms = values.flatMap((value) => [value, encodeURIComponent(value), btoa(value)]);
  const places = new Map([
    ...filesOf(directory),
    ["output", place.printed.join("\n")],
    ["service", served.stdout + served.stderr],
    ["telemetry", collector.requests.join("\n")],
    ["database log", readFileSync(postgres.logPath, "latin1")],
  ]);
  const seen = readFileSync(processes, "latin1").split("\0\n");
  expect(seen.filter((args) => args.includes("/cli/")).length).toBeGreaterThan(20);
  expect(collector.requests.length).toBeGreaterThan(3);
  expect(found(places, forms)).toEqual([]);
  // What receivers get holds what their protocols want: the routing key, and the path of a Slack channel.
  const sent = receiver.received.map(({ headers, body }) => JSON.stringify({ headers, body })).join("\n");
  const wanted = forms.filter((form) => !form.includes(canaries.routing));
  expect(found(new Map([["sent", sent]]), wanted)).toEqual([]);
  // The search finds what is there.
  places.set("planted", `password=${first.password}`);
  expect(found(places, forms)).toContain("planted");
}, 240_000);

function found(places: ReadonlyMap<string, string>, values: readonly string[]): readonly string[] {
  return [...places].filter(([, text]) => values.some((value) => text.includes(value))).map(([name]) => name);
}

/** The store's key, and an agent's token: each belongs into one file. */
function privateFiles(): ReadonlyMap<string, string> {
  const keys = filesOf(join(place.directory, "config")).entries();
  const key = [...keys].map(([name, text]): [string, string] => [
    name,
    /^[^#\s]\S{20,}$/m.exec(text)?.[0] ?? "",
  ]);
  const token = join(place.directory, "host-1.token");
  return new Map([...key, [token, readFileSync(token, "utf8").trim()]]);
}

function filesOf(folder: string): ReadonlyMap<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  const own = folder === place.directory ? [join(folder, "config"), join(folder, "host-1.token")] : [];
  const paths = entries.map((one) => join(one.parentPath, one.name));
  const searched = paths.filter((path) => !own.some((mine) => path.startsWith(mine)));
  return new Map(searched.map((path) => [path, readFileSync(path, "latin1")]));
}
