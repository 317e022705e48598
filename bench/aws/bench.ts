import type { Measured } from "../measured.ts";
import { benchAdoption } from "./adoption.ts";
import { told, total } from "./calls.ts";
import { benchColdStarts, type ColdStart } from "./cold-starts.ts";
import { assumptions, costOf, dollarsOf, monthOf, rotationUsage } from "./cost.ts";
import { benchAwsRotation } from "./rotation.ts";
import { setAwsStage } from "./stage.ts";

/** What was measured of AWS's own rotation functions for two logins that take turns. */
const awsCalls = 14;
const bundleMost = 1_000_000;

/** What Keyturn promises on AWS, by the app as it is deployed, on emulators. */
export async function benchAws(say: (line: string) => void): Promise<Measured> {
  say("starting every function, in turns with one in Python");
  const starts = await benchColdStarts();
  say("deploying an installation");
  await using stage = await setAwsStage();
  say("rotating");
  const rotation = await benchAwsRotation(stage);
  say("rotating before the eyes of hosts");
  const adoption = await benchAdoption(stage);
  const { warm, cold, coldSteps, after, whole } = rotation;
  const usage = rotationUsage(whole);
  const month = monthOf(usage);
  const cost = { rotation: costOf(usage), month: dollarsOf(month), lines: month };
  const rows: Measured["rows"] = [
    [
      "store calls of the four steps, from no process at all",
      told(cold.calls.store),
      `≤ 10; AWS's own functions make ${awsCalls}`,
      total(cold.calls.store) <= 10,
    ],
    ["  in processes that have run before", told(warm.calls.store), undefined, true],
    ["  each step in a new process", told(coldSteps.calls.store), undefined, true],
    ["  from there until nothing is owed", told(after.calls.store), undefined, true],
    ["journal calls of the four steps", told(cold.calls.journal), undefined, true],
    ["  from there until nothing is owed", told(after.calls.journal), undefined, true],
    [
      "database connections of the four steps, failing ones",
      `${cold.connections}, ${cold.failedConnections}`,
      "≤ 3, 0; AWS's own functions make 4 to 5, 1 to 2 of them failing",
      cold.connections <= 3 && cold.failedConnections === 0,
    ],
    [
      "  from there until nothing is owed, refused logins",
      `${after.connections}, ${after.failedConnections}`,
      "1 refused",
      after.failedConnections === 1,
    ],
    ["the four steps", `${warm.ms.toFixed(0)} ms; from no process ${cold.ms.toFixed(0)} ms`, undefined, true],
    ...starts.functions.map(startRow),
    ["  a function in Python with boto3 and psycopg2", `${starts.pythonMs.toFixed(0)} ms`, undefined, true],
    [
      `adoption by ${adoption.hosts} hosts, from the event`,
      `median ${adoption.medianMs} ms, last ${adoption.lastMs} ms`,
      undefined,
      true,
    ],
    ["a rotation costs", `${(cost.rotation * 100).toFixed(3)} cents`, undefined, true],
    ["a month of 1,000 secrets and 10,000 agents costs", `${cost.month.toFixed(0)} dollars`, undefined, true],
    ...month.map(
      ({ what, dollars }) => [`  ${what}`, `${dollars.toFixed(2)} dollars`, undefined, true] as const,
    ),
  ];
  return { rows, numbers: { rotation, starts, adoption, cost }, notes: assumptions };
}

function startRow({ name, bytes, ms, ratio }: ColdStart): Measured["rows"][number] {
  return [
    `the function ${name}: its size; its start`,
    `${(bytes / 1e6).toFixed(2)} MB; ${ratio.toFixed(2)} × (${ms.toFixed(0)} ms)`,
    "≤ 1 MB; ≤ 0.5 ×",
    bytes <= bundleMost && ratio <= 0.5,
  ];
}
