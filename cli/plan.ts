import { Command } from "commander";
import { action, type CommandContext } from "./command.ts";
import { eachSecret, failureOf } from "./each-secret.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { openManifest } from "./open.ts";
import type { PlanResult, SecretPlan } from "./results/plan.ts";
import { planOf } from "./secret-plan.ts";
import { duration } from "./terminal.ts";

export function planCommand(): Command {
  const command = new Command("plan")
    .description(
      "the dry run: what a rotation would change, when, whom it affects, and what stands against it",
    )
    .argument("[secret]", "one secret; without it, all of them")
    .addHelpText(
      "after",
      `
It reads the manifest, the store and the target, and writes nothing anywhere. The exit code is 6 where a check has failed or a
rotation would be refused.

Example:
  $ keyturn plan billing/db
  $ keyturn plan --json`,
    );
  return command.action(action(command, plan));
}

async function plan({ manifestPath, terminal }: CommandContext, ref: string | undefined): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const refs = ref === undefined ? opened.manifest.secrets.refs() : [(await opened.secret(ref)).managed.ref];
  const each = await eachSecret(opened, refs, (secret) => planOf(secret, opened.manifest));
  const secrets = each.flatMap((one) => ("result" in one ? [one.result] : []));
  const failures = each.flatMap((one) => ("error" in one ? [one] : []));
  for (const secret of secrets) terminal.show(page(secret));
  for (const { ref: failed, error } of failures) {
    terminal.warn(`${failed}  ${error.code}: ${error.message}`);
    terminal.warn(`  ${error.remedy}`);
  }
  if (each.length === 0) terminal.show(`${opened.manifest.path} has no secrets yet: keyturn init adds one`);
  const ready = failures.length === 0 && secrets.every((one) => one.ready);
  const unreadable = failures.map((one) => ({ ref: one.ref, error: failureOf(one.error) }));
  const result: PlanResult = { ready, secrets, unreadable };
  terminal.result(result);
  const checked = secrets.every((one) => one.ready) ? exitCodes.done : exitCodes.failed;
  return Math.max(checked, ...failures.map(({ error }) => exitCodeOf(error.code)));
}

function page(plan: SecretPlan): string {
  const { affected, cost, quota, grace } = plan;
  const sessions = affected.sessions === undefined ? "" : `, ${affected.sessions} sessions at the target`;
  const lines = [
    `${plan.ref}  ${plan.ready ? "ready" : "NOT READY"}: a rotation now: ${plan.answer}, ${plan.why}`,
    `  store     ${plan.store} (${plan.place})`,
    `  type      ${plan.type}, ${plan.overlap}`,
    ...plan.checks.map(
      ({ check, ok, message }) => `  ${ok ? "ok       " : "FAILED   "} ${check}: ${message}`,
    ),
    ...plan.steps.map(({ step, change }) => `  ${step.padEnd(9)} ${change}`),
    `  when      ${plan.schedule.note}`,
    `  affects   ${affected.agents} agents of ${affected.fleets.join(", ") || "no fleet"}${sessions}`,
  ];
  if (affected.holders.length > 0) lines.push(`  held by   ${affected.holders.join(", ")}`);
  for (const client of affected.clients) lines.push(`            ${client}`);
  lines.push(
    `  grace     ${duration(grace.atLeastMs)} at least, ${duration(grace.atMostMs)} at most; then ${grace.onLaggards}`,
  );
  const connections =
    cost.connections === undefined
      ? ""
      : `, ${cost.connections} connections at the target (${cost.refusedLogins} meant to be refused)`;
  lines.push(`  costs     ${cost.storeWrites} writes of the store${connections}`);
  if (quota !== undefined) {
    lines.push(`  quota     ${quota.rotations} may begin by themselves in ${duration(quota.perMs)}`);
  }
  return lines.join("\n");
}
