import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

/** A run of tests of its own, with the setup and the check that every run has: what it leaks ends it with an error, however well its tests go. */
const root = join(import.meta.dirname, "..");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keyturn-run-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const planted = ["planted", "9fK2wQ7x", "Zr4Tb8Lm"].join("-");

/** Processes that leak, by the real parts that write there. */
const leaks: readonly (readonly [kind: string, where: RegExp, code: string])[] = [
  [
    "a log",
    /printed by processes: printed\/\d+/,
    `import { lineLog } from "${root}/telemetry/log.ts";
    lineLog({ json: true, least: "info", write: (line) => process.stderr.write(line) })("info", "it is " + value);`,
  ],
  [
    "an event",
    /events: .*\/events\.db/,
    `import { openEventBus } from "${root}/local/event-bus.ts";
    import { steppedClock } from "${root}/local/memory.ts";
    import { Waker } from "${root}/local/wake.ts";
    const waker = new Waker(join(folder, "nobody.sock"));
    using bus = await openEventBus(join(folder, "events.db"), true, { clock: steppedClock(0), waker });
    await bus.publish({ specversion: "1.0", id: "a/1/rotated", source: "keyturn/test", subject: "a", time: "2026-01-01T00:00:00.000Z",
      datacontenttype: "application/json", type: "dev.keyturn.secret.rotated.v1", data: { epoch: 1, version: value, urgent: false } });
    await waker.settled();`,
  ],
  ["an error", /printed by processes: printed\/\d+/, 'throw new Error("it is " + value);'],
  [
    "an audit file",
    /audit: .*\/audit\/a\.jsonl/,
    `import { seal } from "${root}/core/audit.ts";
    import { openAuditLog } from "${root}/local/audit-log.ts";
    using audit = await openAuditLog(join(folder, "audit"), true);
    await audit.append(seal({ ref: "a", at: 1, actor: "somebody", action: "rotate.requested", epoch: 1, detail: value }, { sequence: 0, hash: "" }));`,
  ],
  [
    "a trace",
    /traces, metrics and logs sent: .*\/telemetry\.otlp/,
    `import { startOtlpReceiver } from "${root}/integration/otlp-receiver.ts";
    await using collector = await startOtlpReceiver();
    const spans = [{ name: value, traceId: "1", spanId: "2" }];
    await fetch(collector.environment.OTEL_EXPORTER_OTLP_ENDPOINT + "/v1/traces",
      { method: "POST", body: JSON.stringify({ resourceSpans: [{ resource: {}, scopeSpans: [{ spans }] }] }) });`,
  ],
  ["a temporary file", /other temporary files: .*\/left/, 'writeFileSync(join(folder, "left"), value);'],
  ["an argument", /process lists: processes\//, 'spawnSync("true", [value]);'],
  [
    "an environment",
    /process lists: processes\//,
    'spawnSync("true", { env: { ...process.env, PGPASSWORD: value } });',
  ],
  [
    "the database's log",
    /database logs: .*\/server\.log/,
    `import { startPostgres } from "${root}/integration/postgres-server.ts";
    const server = await startPostgres();
    const superuser = await server.client();
    await superuser.query("CREATE ROLE app LOGIN PASSWORD 'app'");
    await superuser.end();
    const client = await server.client({ username: "app", password: "app" });
    await client.query("SELECT $1::text", [value]);
    await client.end();
    await server.stop();`,
  ],
];

test("a run that leaves a value anywhere fails, and says where without saying it", () => {
  for (const [, where, code] of leaks) {
    const { status, printed } = run(code);
    expect(printed).toMatch(new RegExp(`a secret value is in ${where.source}`));
    expect(printed).not.toContain(planted);
    expect(status).toBe(1);
  }
}, 240_000);

test("a run that reveals a value and leaves it nowhere does not fail", () => {
  expect(run("value.at(0);")).toMatchObject({ status: 0, printed: expect.stringContaining("processes 1") });
});

/** The run of one test that starts a process with that code in it. */
function run(code: string): { readonly status: number | null; readonly printed: string } {
  const program = `
    import { spawnSync } from "node:child_process";
    import { mkdtempSync, writeFileSync } from "node:fs";
    import { tmpdir } from "node:os";
    import { join } from "node:path";
    import { Secret } from "${root}/core/secret.ts";
    const value = new Secret(["planted", "9fK2wQ7x", "Zr4Tb8Lm"].join("-")).reveal();
    const folder = mkdtempSync(join(tmpdir(), "x-"));
    ${code}`;
  writeFileSync(join(folder, "leak.ts"), program);
  writeFileSync(
    join(folder, "leak.test.mjs"),
    `import { spawnSync } from "node:child_process";
    test("leaks", () => void spawnSync(process.execPath, [${JSON.stringify(join(folder, "leak.ts"))}]));`,
  );
  const options = {
    globals: true,
    globalSetup: `${root}/canaries/global-setup.ts`,
    setupFiles: `${root}/canaries/setup.ts`,
    include: ["*.test.mjs"],
  };
  writeFileSync(join(folder, "vitest.config.mjs"), `export default ${JSON.stringify({ test: options })};`);
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  // It is no part of the run that this test is in.
  const isOfRun = (name: string) => /^KEYTURN_CANARIES|^NODE_OPTIONS$|^VITEST|^TEST$/.test(name);
  const environment = Object.entries(process.env).filter(([name]) => !isOfRun(name));
  const { status, stdout, stderr } = spawnSync(process.execPath, [vitest, "run", "--root", folder], {
    env: Object.fromEntries(environment),
    encoding: "utf8",
  });
  return { status, printed: stdout + stderr };
}
