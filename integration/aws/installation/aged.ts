import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { asKeyturnError } from "../../../core/errors.ts";
import { openJournal } from "../../../functions/journal.ts";
import { installation } from "./installation.ts";

const client = new DynamoDBClient(installation.aws);
const journal = openJournal({ client, name: "keyturn-shown-journal" });

/** So much time has gone by for the schedule of a secret at rest: its current value is older, and what the schedule waits for is nearer. */
export async function aged(ref: string, ms: number): Promise<void> {
  const loaded = await journal.load(ref);
  if (loaded?.record.current === undefined) throw new Error(`${ref} has no current value`);
  const { record, revision } = loaded;
  const { since, ...current } = loaded.record.current;
  const scheduleNotBefore = record.scheduleNotBefore - ms;
  const older = {
    ...record,
    current: { ...current, since: since - ms },
    scheduleNotBefore,
    dueAt: Date.now(),
  };
  try {
    await journal.save(older, revision);
  } catch (thrown) {
    if (asKeyturnError(thrown).code !== "conflict") throw thrown;
    await aged(ref, ms);
  }
}
