import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandPlace } from "../command-place.ts";
import { startKeyturn } from "../keyturn-command.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";

const adminPassword = "canary-key-admin-2Lp7";
let postgres: PostgresServer;
let place: CommandPlace;

beforeAll(async () => {
  postgres = await startPostgres();
  const superuser = await postgres.client();
  await superuser.query(`CREATE ROLE keyturn_admin LOGIN CREATEROLE PASSWORD '${adminPassword}'`);
  await superuser.end();
  place = new CommandPlace(postgres, adminPassword);
});

afterAll(async () => {
  await postgres.stop();
  place.remove();
});

test("a key that the service has from its environment is not in its worker's, and the worker has it", async () => {
  await place.init("billing/db", "keyed");
  const folder = join(place.directory, "config/keyturn");
  const [name = ""] = readdirSync(folder).filter((file) => file.endsWith(".key"));
  const key = readFileSync(join(folder, name), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .join("\n");
  rmSync(folder, { recursive: true });
  const environment = { ...place.environment, KEYTURN_KEY: key };

  const service = startKeyturn(["serve", "--json"], { environment, directory: place.directory });
  try {
    const pid = await workerOf(service.child.stderr ?? process.stdin);
    expect(readFileSync(`/proc/${service.child.pid}/environ`, "utf8")).toContain(key);
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain(key);
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("KEYTURN_KEY");
    const rotating = startKeyturn(["rotate", "billing/db", "--wait"], {
      environment,
      directory: place.directory,
    });
    expect((await rotating.ended).code).toBe(0);
  } finally {
    service.child.kill("SIGTERM");
    await service.ended;
  }
});

/** The worker's process, by the service's log. */
function workerOf(log: NodeJS.ReadableStream): Promise<number> {
  return new Promise((resolve) => {
    createInterface({ input: log }).on("line", (line) => {
      const { message, pid }: { message?: string; pid?: number } = line.startsWith("{")
        ? JSON.parse(line)
        : {};
      if (message === "worker ready" && pid !== undefined) resolve(pid);
    });
  });
}
