import { randomUUID } from "node:crypto";
import { CancelRotateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { beforeAll, expect, test, vi } from "vitest";
import { inParallel } from "../../../core/parallel.ts";
import { installation } from "./installation.ts";
import { points } from "./points.ts";
import { hasEnded, play, scenesOf } from "./scenes.ts";
import { begun, current, rotateSecret } from "./stage.ts";
import { startWitness } from "./witness.ts";

const manager = new SecretsManagerClient(installation.aws);
const killed = scenesOf("killed", points);
const restarted = scenesOf("restarted", {
  "create: before the value is stored": points["create: before the value is stored"],
  "create: when it is, and nobody heard": points["create: when it is, and nobody heard"],
  "set: in the middle of its statements": points["set: in the middle of its statements"],
  "finish: when it is, and nobody heard": points["finish: when it is, and nobody heard"],
});
const frozen = scenesOf("frozen", {
  "create: before the value is stored": points["create: before the value is stored"],
  "set: in the middle of its statements": points["set: in the middle of its statements"],
  "set: done, and not written down": points["set: done, and not written down"],
  "finish: before it is current": points["finish: before it is current"],
});
const first = new Map<string, string>();

beforeAll(async () => {
  const refs = [...killed, ...restarted, ...frozen].map(({ ref }) => ref);
  const ended = await inParallel(refs, 4, async (ref) => first.set(ref, (await begun(ref)).value));
  expect(ended.filter(({ status }) => status === "rejected")).toEqual([]);
}, 420_000);

/** Begins one rotation after another, each under a token of its own, until one that is neither of these is current. */
async function rotateOn(ref: string, ...not: readonly (string | undefined)[]): Promise<void> {
  const isAnother = async () => {
    const { version } = (await current(ref)) ?? {};
    if (!not.includes(version)) return true;
    // It refuses as long as the other one has its lease.
    await rotateSecret(ref, randomUUID()).catch(() => undefined);
    return false;
  };
  await vi.waitUntil(isAnother, { timeout: 240_000, interval: 3_000 });
}

test.concurrent("killed in each step, and the same rotation asked for again or given up: it ends, and nothing is lost", async () => {
  const wrong = await play(killed, async (scene) => {
    const { ref, point } = scene;
    await using witness = startWitness(ref);
    const token = randomUUID();
    const strike = await point(ref);
    const kill = async () => {
      await (await strike("SIGKILL")).end("lose");
    };
    await Promise.all([rotateSecret(ref, token), kill()]);
    // Secrets Manager tries some times more, and may have given up before the lease of the killed one is over.
    const isCurrent = (await current(ref))?.version === token;
    if (!isCurrent && killed.indexOf(scene) % 2 === 0) await rotateSecret(ref, token);
    await hasEnded(ref, [first.get(ref) ?? "", ...witness.values]);
    expect(witness.refused).toEqual([]);
    expect((await current(ref))?.version).toBe(token);
    expect(witness.logins).toBeGreaterThan(10);
  });
  expect(wrong).toEqual([]);
}, 420_000);

test.concurrent("killed, cancelled, and another begun: the other one ends, and nothing is stranded", async () => {
  const wrong = await play(restarted, async ({ ref, point }) => {
    await using witness = startWitness(ref);
    const [before, token] = [(await current(ref))?.version, randomUUID()];
    const strike = await point(ref);
    // LocalStack goes on with the next steps when one has failed: they come late, for a rotation that is cancelled.
    const late = rotateSecret(ref, token);
    await (await strike("SIGKILL")).end("lose");
    await manager.send(new CancelRotateSecretCommand({ SecretId: ref }));
    await rotateOn(ref, before, token);
    await late;
    await hasEnded(ref, [first.get(ref) ?? "", ...witness.values]);
    expect(witness.refused).toEqual([]);
  });
  expect(wrong).toEqual([]);
}, 420_000);

test.concurrent("frozen in a step, and gone on when another rotation is current: it overwrites nothing", async () => {
  const wrong = await play(frozen, async ({ ref, point }) => {
    await using witness = startWitness(ref);
    const [before, token] = [(await current(ref))?.version, randomUUID()];
    const strike = await point(ref);
    const late = rotateSecret(ref, token);
    const { pid, end } = await strike("SIGSTOP");
    await manager.send(new CancelRotateSecretCommand({ SecretId: ref }));
    await rotateOn(ref, before, token);
    // Throws where its time as a function was over before.
    process.kill(pid, "SIGCONT");
    await end();
    await late;
    await hasEnded(ref, [first.get(ref) ?? "", ...witness.values]);
    expect(witness.refused).toEqual([]);
    expect(witness.logins).toBeGreaterThan(10);
  });
  expect(wrong).toEqual([]);
}, 420_000);
