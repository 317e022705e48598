import { openWorld } from "../integration/password-world.ts";
import { median } from "./median.ts";
import type { BenchStage } from "./stage.ts";

const rounds = 12;
const ref = "app/one";

export interface CutoverBench {
  /** How long one role's old password was refused and its new one not current, as the audit has it: from before set to after finish. */
  readonly gapMs: number;
  readonly gapMaxMs: number;
  /** A bare login with a statement, which set and test each need one of. */
  readonly loginMs: number;
  readonly ratio: number;
}

/** The moment in which readers of a cutover type have to try pending. */
export async function benchCutover({ stage }: BenchStage): Promise<CutoverBench> {
  await using world = await openWorld(stage.postgres);
  const username = `one_${world.adminName}`;
  world.manage(ref, { type: "postgres-password", config: { username, create: true } });
  const rotate = async (): Promise<void> => {
    await world.begin(ref);
    await world.settle(ref);
  };
  await rotate();
  const logins: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await rotate();
    const login = await world.current(ref);
    const started = performance.now();
    const client = await stage.postgres.client(login);
    await client.query("SELECT 1");
    logins.push(performance.now() - started);
    await client.end();
  }
  const audit = await world.audit(ref);
  const gaps = audit.flatMap((line) => {
    const [, ms] = /^finish\.done .* at most (\d+) ms$/.exec(line) ?? [];
    return ms === undefined ? [] : [Number(ms)];
  });
  if (gaps.length !== rounds) throw new Error("a rotation of the bench was not measured");
  const [gapMs, loginMs] = [median(gaps), median(logins)];
  return { gapMs, gapMaxMs: Math.max(...gaps), loginMs, ratio: gapMs / loginMs };
}
