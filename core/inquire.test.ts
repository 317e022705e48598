import { expect, test } from "vitest";
import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { KeyturnError } from "./errors.ts";
import { inquire } from "./inquire.ts";
import { newRecord } from "./record.ts";
import { Secret } from "./secret.ts";
import type { Stand } from "./stand.ts";

function world() {
  const { bothLive } = modelTarget();
  return { ...memoryPorts(bothLive), rotator: bothLive };
}
const outcome = (work: Promise<unknown>): Promise<unknown> => work.catch((thrown: unknown) => thrown);

test("somebody who asks stands where a step would, on the record that is known or on a new one", async () => {
  const { ports, managed, rotator } = world();
  const known = { ...newRecord("app/db"), epoch: 7 };
  const stands: Stand[] = [];
  const look = async (stand: Stand) => {
    stands.push(stand);
    return "seen";
  };
  expect(await inquire("app/db", ports, known, look)).toBe("seen");
  expect(await inquire("app/db", ports, undefined, look)).toBe("seen");
  expect(stands).toMatchObject([
    { managed, rotator, record: known },
    { managed, rotator, record: newRecord("app/db") },
  ]);
  expect(stands.map((stand) => stand.ports.store === ports.store)).toEqual([true, true]);
});

test("of a secret that the manifest does not have nobody can ask", async () => {
  const { ports } = world();
  const asked = inquire("app/other", ports, undefined, async () => "seen");
  expect(await outcome(asked)).toMatchObject({ code: "input-invalid" });
});

test("what is kept open ends with the asking, however it ends, and is told why where it fails", async () => {
  const { ports } = world();
  const closed: string[] = [];
  await inquire("app/db", ports, undefined, async ({ session }) =>
    session.defer(() => void closed.push(`aborted: ${session.signal.aborted}`)),
  );
  const asked = inquire("app/db", ports, undefined, async ({ session }) => {
    session.defer(() => void closed.push(session.signal.reason.code));
    throw new KeyturnError("unreachable", "no answer");
  });
  expect(await outcome(asked)).toMatchObject({ code: "unreachable", message: "no answer" });
  expect(closed).toEqual(["aborted: false", "unreachable"]);
});

test("no value that was seen is in the error or in the log", async () => {
  const { ports, lines } = world();
  const asked = inquire("app/db", ports, undefined, async (stand) => {
    stand.redactor.add(new Secret("canary-inquire-5Gk2"));
    stand.ports.log("warn", "saw canary-inquire-5Gk2");
    throw new Error("met canary-inquire-5Gk2", { cause: "canary-inquire-5Gk2" });
  });
  const error = await outcome(asked);
  expect(error).toMatchObject({ code: "internal", message: "met [redacted]" });
  expect(error).not.toHaveProperty("cause");
  expect(lines).toEqual(["warn saw [redacted] {}"]);
});

test("the asking has the time of one step", async () => {
  const { ports, clock } = world();
  const asked = outcome(inquire("app/db", ports, undefined, () => new Promise(() => undefined)));
  await new Promise(setImmediate);
  clock.advance(5_000);
  expect(await asked).toMatchObject({
    code: "timeout",
    message: "asking the target did not end within 5000 ms",
  });
});
