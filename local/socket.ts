import { chmodSync, closeSync, existsSync, lstatSync, openSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { KeyturnError } from "../core/errors.ts";

/** What the smallest of the systems takes (macOS), the end mark not counted. */
const pathBytesMax = 103;
/** A whole fleet may come at once when the service starts. */
const backlog = 4096;

/** Listens where nobody else does. Gives the way to let the place go, for after the server is closed. */
export async function listen(server: Server, socketPath: string): Promise<() => void> {
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > pathBytesMax) {
    throw new KeyturnError(
      "input-invalid",
      `the socket's path ${socketPath} has ${bytes} bytes, and a socket's may have ${pathBytesMax}; use a shorter folder`,
    );
  }
  const release = claim(socketPath);
  try {
    removeStale(socketPath);
    await bind(server, socketPath);
    return release;
  } catch (thrown) {
    release();
    throw thrown;
  }
}

/**
 * A lock that lasts as long as this process: whoever has it may take a socket away that a dead process left. To look whether
 * somebody answers would not do, for of two that look at once both would take the other's.
 */
function claim(socketPath: string): () => void {
  const path = `${socketPath}.lock`;
  try {
    closeSync(openSync(path, "a", 0o600));
    const lock = new DatabaseSync(path, { timeout: 0 });
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return () => lock.close();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw /locked/.test(message)
      ? new KeyturnError("request-refused", `another \`keyturn serve\` is running at ${socketPath}`)
      : new KeyturnError("store-unavailable", `${path} cannot be locked: ${message}`, { cause });
  }
}

function removeStale(socketPath: string): void {
  if (!existsSync(socketPath)) return;
  if (!lstatSync(socketPath).isSocket()) {
    throw new KeyturnError("request-refused", `${socketPath} is there and is no socket; move it away`);
  }
  unlinkSync(socketPath);
}

/** The folder keeps others away until the rights are set. */
async function bind(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(
        new KeyturnError("store-unavailable", `cannot listen at ${socketPath}: ${cause.message}`, { cause }),
      );
    server.once("error", failed);
    server.listen({ path: socketPath, backlog }, () => {
      server.off("error", failed);
      resolve();
    });
  });
  chmodSync(socketPath, 0o600);
}
