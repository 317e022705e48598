import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The processes that have a connection of TCP to a port, from a port of their own where that is said. */
export function processesAt(port: number, from?: number): readonly number[] {
  const sockets = new Set(
    readFileSync("/proc/net/tcp", "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, own, other]) => portOf(other) === port && portOf(own) === (from ?? portOf(own)))
      .map((columns) => `socket:[${columns[9]}]`),
  );
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => filesOf(pid).some((file) => sockets.has(file)))
    .map(Number);
}

function portOf(address = ""): number {
  return Number.parseInt(address.slice(address.indexOf(":") + 1), 16);
}

function filesOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((file) => readlinkSync(`/proc/${pid}/fd/${file}`));
  } catch {
    // It has ended meanwhile, or a file of it was closed.
    return [];
  }
}
