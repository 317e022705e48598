import { benchAgent } from "./agent.ts";
import { benchCutover } from "./cutover.ts";
import { benchDue } from "./due.ts";
import type { Measured } from "./measured.ts";
import { benchRevoke } from "./revoke.ts";
import { benchRotation } from "./rotation.ts";
import { setBenchStage } from "./stage.ts";

/** What Keyturn promises of one machine. The ratios come from things that took turns in one run. */
export async function benchLocal(): Promise<Measured> {
  const agent = await benchAgent();
  const due = await benchDue();
  await using stage = await setBenchStage();
  const rotation = await benchRotation(stage);
  const revoke = await benchRevoke(stage);
  const cutover = await benchCutover(stage);
  const { connections } = rotation;

  const rows: Measured["rows"] = [
    [
      "a rotation against bare SQL with the same statements",
      `${rotation.ratio.toFixed(2)} × (${rotation.keyturnMs.toFixed(1)} ms : ${rotation.bareMs.toFixed(1)} ms)`,
      "≤ 3 ×",
      rotation.ratio <= 3,
    ],
    [
      "connections through finish, failing ones",
      `${connections.throughFinish}, ${connections.throughFinishFailing}`,
      "≤ 2, 0",
      connections.throughFinish <= 2 && connections.throughFinishFailing === 0,
    ],
    [
      "connections for retire, refused logins",
      `${connections.retire}, ${connections.retireRefused}`,
      "1 and exactly 1",
      connections.retire === 1 && connections.retireRefused === 1,
    ],
    [
      "warm getSecret against an async Map with a TTL",
      `${agent.warmRatio.toFixed(2)} × (${agent.warmNs.toFixed(0)} ns : ${agent.mapNs.toFixed(0)} ns)`,
      "≤ 1.05 ×",
      agent.warmRatio <= 1.05,
    ],
    [
      "store reads for 1,000 concurrent reads at expiry",
      String(agent.readsAtExpiry),
      "1",
      agent.readsAtExpiry === 1,
    ],
    [
      `from revoke to refused, with ${revoke.sessions} open sessions`,
      `${revoke.refusedMs.toFixed(0)} ms, ${revoke.sessionsEnded} ended`,
      "< 1 s",
      revoke.refusedMs < 1_000 && revoke.sessionsEnded === revoke.sessions,
    ],
    [
      "one password: the old one refused, the new one not current",
      `${cutover.gapMs.toFixed(0)} ms (max ${cutover.gapMaxMs.toFixed(0)}; a login ${cutover.loginMs.toFixed(1)})`,
      "≤ 8 logins",
      cutover.ratio <= 8,
    ],
    [
      `what is due: ${due.due} of 1,000,000 secrets; a tick`,
      `${due.dueMs.toFixed(2)} ms; ${due.tickMs.toFixed(2)} ms`,
      "< 100 ms each",
      due.dueMs < 100 && due.tickMs < 100,
    ],
    [
      "the same against 10,000 secrets, as many due",
      `${due.dueRatio.toFixed(2)} ×; ${due.tickRatio.toFixed(2)} ×`,
      "≤ 2 × each",
      due.dueRatio <= 2 && due.tickRatio <= 2,
    ],
  ];
  return { rows, numbers: { rotation, agent, revoke, cutover, due } };
}
