import { cutDirectly, liveLogins } from "../core/direct.ts";
import { KeyturnError } from "../core/errors.ts";
import { systemClock } from "../local/clock.ts";
import { systemRandom } from "../local/random.ts";
import { loadManifest } from "../manifest/load.ts";
import { loadRotator, rotatorTypes } from "../rotators/registry.ts";
import { readAdminLogin } from "./admin-login.ts";
import type { CommandContext } from "./command.ts";
import { exitCodes } from "./exit.ts";
import { requireSecret } from "./open.ts";
import type { DirectResult } from "./results/revoke-direct.ts";
import type { RevokeOptions, Selector } from "./revoke-options.ts";
import { duration } from "./terminal.ts";

/**
 * Cuts a secret's logins off at its target with the operator's own administering login, while store, journal or key are out of
 * reach. Nothing of Keyturn but the manifest is read, and nothing is written but the target's own marks.
 */
export async function revokeDirectly(
  { manifestPath, terminal }: CommandContext,
  selector: Selector,
  { login: logins = [], yes }: RevokeOptions,
): Promise<number> {
  const [ref, ...others] = selector.kind === "secrets" ? selector.refs : [];
  if (ref === undefined || others.length > 0) {
    throw new KeyturnError("input-invalid", "--direct is for one secret, by its name");
  }
  const started = systemClock.now();
  const manifest = loadManifest(manifestPath, { types: rotatorTypes });
  const managed = requireSecret(manifest, ref);
  const rotator = await loadRotator(managed.type);
  const admin = await readAdminLogin();
  const ports = { clock: systemClock, random: systemRandom, log: () => undefined };
  const access = { managed, rotator, admin, ports };

  const live = (await liveLogins(access)).map(({ login }) => login);
  const unknown = logins.filter((login) => !live.includes(login));
  if (unknown.length > 0) {
    const known = live.length === 0 ? "it lets none in" : `it lets in ${live.join(", ")}`;
    throw new KeyturnError(
      "input-invalid",
      `the target has no live login ${unknown.join(", ")} of ${ref}: ${known}`,
    );
  }
  const chosen = logins.length === 0 ? live : logins;
  if (chosen.length === 0) {
    terminal.show(`${ref}: the target lets no login of it in`);
    terminal.result({ ref, cut: [], ms: systemClock.now() - started } satisfies DirectResult);
    return exitCodes.done;
  }
  if (yes !== true) {
    terminal.warn(
      `this cuts off ${chosen.join(", ")}: every agent of ${ref} that uses them, with no successor`,
    );
    throw new KeyturnError("request-refused", "say --yes to cut them off");
  }
  const cut = await cutDirectly(access, chosen);
  const ms = systemClock.now() - started;
  for (const { login, sessionsEnded, survives } of cut) {
    const rest = survives.length === 0 ? "nothing survives" : `survives: ${survives.join(", ")}`;
    terminal.show(`${ref}: ${login} is cut off; ${sessionsEnded} sessions ended; ${rest}`);
  }
  terminal.say(
    `after ${duration(ms)}; as soon as the store is back, \`keyturn doctor ${ref} --fix\` makes a successor`,
  );
  const told = cut.map(({ login, sessionsEnded, survives }) => ({
    login,
    sessionsEnded,
    survives: [...survives],
  }));
  terminal.result({ ref, cut: told, ms } satisfies DirectResult);
  return exitCodes.done;
}
