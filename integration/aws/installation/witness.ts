import { setTimeout as sleep } from "node:timers/promises";
import { current, letsIn } from "./stage.ts";

/** One who reads a secret and logs in by it, again and again, as agents do. */
export interface Witness extends AsyncDisposable {
  /** What was refused though it was current before and after. */
  readonly refused: readonly string[];
  /** How often it logged in. */
  readonly logins: number;
  /** Every value that was current, the latest last. */
  readonly values: readonly string[];
}

export function startWitness(ref: string): Witness {
  const refused: string[] = [];
  const values: string[] = [];
  let logins = 0;
  let isOver = false;
  const look = async () => {
    const before = await current(ref);
    if (before === undefined) return;
    if (values.at(-1) !== before.value) values.push(before.value);
    if (await letsIn(before.value)) logins += 1;
    else if ((await current(ref))?.version === before.version) refused.push(before.version);
  };
  const looking = (async () => {
    while (!isOver) {
      await look();
      await sleep(400);
    }
  })();
  return {
    refused,
    values,
    get logins() {
      return logins;
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await looking;
    },
  };
}
