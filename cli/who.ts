import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";

/** Who asks, for the audit: the login name on this machine. */
export function person(): string {
  return `person:${userInfo().username}`;
}

/** Names a worker in leases and in the audit, so that no two are ever the same. */
export function workerName(kind: string): string {
  return `${kind}:${process.pid}:${randomUUID().slice(0, 8)}`;
}
