// Reads the numbers that the demo or the benchmark printed as its last line, and says which of them are not what we claim:
// `node claims.mjs demo|bench|bench-aws <output>`. What depends on how fast the machine is has generous limits here; the aims
// themselves are printed by the benchmark.
import { readFileSync } from "node:fs";

const isCount = (value) => Number.isInteger(value) && value > 0;
const isTime = (value) => Number.isFinite(value) && value >= 0;

const claims = {
  demo: {
    "rotates three times": ({ rotations }) => rotations === 3,
    "with 200 agents": ({ agents }) => agents === 200,
    "that query all the time": ({ queries }) => isCount(queries) && queries > 1_000,
    "and no query fails": ({ failedQueries }) => failedQueries === 0,
    "a worker is killed": ({ killedWorkers }) => killedWorkers === 1,
    "a long transaction is held through a rotation": ({ heldTransactions }) => heldTransactions === 1,
    "agents change over within 60 s": ({ adoptedMs: { p50, p99 } }) =>
      isTime(p50) && p50 <= p99 && p99 < 60_000,
    "a leaked credential is found": ({ revoke }) => isTime(revoke.identifiedMs),
    "and refused within 60 s": ({ revoke }) => isTime(revoke.refusedMs) && revoke.refusedMs < 60_000,
    "its sessions end": ({ revoke }) => isCount(revoke.sessionsEnded),
    "and the fleet goes on": ({ revoke }) => isTime(revoke.fleetAdoptedMs),
    "the audit is verified": ({ auditVerified }) => auditVerified === true,
  },
  bench: {
    "a rotation was measured": ({ rotation }) =>
      rotation.keyturnMs > 0 && rotation.bareMs > 0 && rotation.ratio > 0,
    "no connection fails before finish": ({ rotation }) => rotation.connections.throughFinishFailing === 0,
    "at most two connections before finish": ({ rotation }) => rotation.connections.throughFinish <= 2,
    "one refused login for a retire": ({ rotation }) => rotation.connections.retireRefused === 1,
    "a warm read was measured": ({ agent }) => agent.warmNs > 0 && agent.mapNs > 0 && agent.warmRatio < 2,
    "one read of the store for a thousand readers": ({ agent }) => agent.readsAtExpiry === 1,
    "every open session ends": ({ revoke }) =>
      isCount(revoke.sessions) && revoke.sessionsEnded === revoke.sessions,
    "a revoke takes less than 10 s": ({ revoke }) => isTime(revoke.refusedMs) && revoke.refusedMs < 10_000,
    "of one password the moment without a current one is measured": ({ cutover }) =>
      cutover.gapMs > 0 && cutover.gapMs <= cutover.gapMaxMs && cutover.gapMaxMs < 5_000,
    "a hundred of a million secrets are due": ({ due }) => due.due === 100 && due.records === 1_000_000,
    "and are found within 100 ms": ({ due }) => isTime(due.dueMs) && due.dueMs < 100,
    "by one tick, too": ({ due }) => isTime(due.tickMs) && due.tickMs < 100,
    "whose cost grows by what is due alone": ({ due }) =>
      due.dueRatio > 0 && due.dueRatio < 5 && due.tickRatio > 0 && due.tickRatio < 5,
  },
  "bench-aws": {
    "four steps from no process at all make at most 15 calls to the store": ({ rotation }) =>
      isCount(callsOf(rotation.cold)) && callsOf(rotation.cold) <= 15,
    "one fewer where a process has run before": ({ rotation }) =>
      callsOf(rotation.warm) === callsOf(rotation.cold) - 1,
    "at most three connections to the database, and none that fails": ({ rotation: { cold } }) =>
      isCount(cold.connections) && cold.connections <= 3 && cold.failedConnections === 0,
    "one refused login until nothing is owed": ({ rotation }) => rotation.after.failedConnections === 1,
    "the four steps take less than 20 s": ({ rotation }) => rotation.warm.ms > 0 && rotation.warm.ms < 20_000,
    "six functions, none larger than a megabyte": ({ starts }) =>
      starts.functions.length === 6 &&
      starts.functions.every(({ bytes }) => isCount(bytes) && bytes <= 1_000_000),
    "and none starts much slower than a function in Python": ({ starts }) =>
      starts.functions.every(({ ratio }) => ratio > 0 && ratio < 1.5),
    "50 hosts adopt within 60 s": ({ adoption: { hosts, medianMs, lastMs } }) =>
      hosts === 50 && isTime(medianMs) && medianMs <= lastMs && lastMs < 60_000,
    "a rotation costs less than a cent": ({ cost }) => cost.rotation > 0 && cost.rotation < 0.01,
    "a month is the sum of its lines": ({ cost }) =>
      Math.abs(cost.lines.reduce((sum, { dollars }) => sum + dollars, 0) - cost.month) < 0.01,
  },
};

function callsOf({ calls: { store } }) {
  return Object.values(store).reduce((sum, count) => sum + count, 0);
}

const [, , what = "", file = ""] = process.argv;
const list = Object.entries(claims[what] ?? { "there is such a list": () => false });
const numbers = readNumbers();
for (const [claim, holds] of list) console.log(`${check(holds) ? "true " : "FALSE"}  ${claim}`);
process.exitCode = list.every(([, holds]) => check(holds)) ? 0 : 1;

function check(holds) {
  try {
    return holds(numbers);
  } catch {
    // A number that is not there proves nothing.
    return false;
  }
}

function readNumbers() {
  try {
    return JSON.parse(readFileSync(file, "utf8").trimEnd().split("\n").at(-1) ?? "");
  } catch (error) {
    console.log(`the last line of ${file} is not JSON: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}
