import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";

/** Who asks, for the audit: the login name on this machine, or the user's number where it has no name, as in many containers. */
export function person(): string {
  try {
    return `person:${userInfo().username}`;
  } catch {
    return `person:uid-${process.getuid?.()}`;
  }
}

/** Names a worker in leases and in the audit, so that no two are ever the same. */
export function workerName(kind: string): string {
  return [kind, hostname(), process.pid, randomUUID().slice(0, 8)].join(":");
}

/** True only if the worker was a process of this machine that is no more. A number that was given out again only means a wait. */
export function isGone(worker: string): boolean {
  const [, host, pid] = worker.split(":");
  if (host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (thrown) {
    return Object(thrown).code === "ESRCH";
  }
}
