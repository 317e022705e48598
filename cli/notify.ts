import { Command } from "commander";
import { KeyturnError } from "../core/errors.ts";
import { newId } from "../core/identifier.ts";
import { deliver, type Outcome } from "../notify/deliver.ts";
import { timeoutMs } from "../notify/notifier.ts";
import { testNotice } from "../notify/test-notice.ts";
import { channelSecrets, senderOf } from "./channel-secrets.ts";
import { action, type CommandContext } from "./command.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { type OpenManifest, openManifest } from "./open.ts";
import type { NotifyTestResult } from "./results/notify.ts";
import { duration, type Terminal } from "./terminal.ts";
import { person } from "./who.ts";

export function notifyCommand(): Command {
  const test = new Command("test")
    .description("send a test message to a channel of the manifest, and say what came of it")
    .argument("<channel>", "the channel's name")
    .addHelpText("after", "\nExample:\n  $ keyturn notify test oncall");
  test.action(action(test, sendTest));
  return new Command("notify").description("the messages to people and to what they use").addCommand(test);
}

/** Sent once, without another try: who asks wants to know how it is now. */
async function sendTest({ manifestPath, terminal, signal }: CommandContext, name: string): Promise<number> {
  await using opened = await openManifest(manifestPath);
  const channel = opened.manifest.notify.get(name);
  if (channel === undefined) throw unknownChannel(opened, name);
  const store = await firstStore(opened);
  const { clock, random } = store.ports;
  const id = newId(random);
  const options = {
    sender: senderOf(store),
    readSecret: channelSecrets(opened),
    now: () => clock.now(),
    timeoutMs,
    signal,
  };
  const started = clock.now();
  const send = (status: "opened" | "resolved"): Promise<Outcome> =>
    deliver(channel, testNotice(status, id, person(), started), options);
  const first = await send("opened");
  // An alert that was begun is ended, so that nobody is kept from sleep by a test.
  const outcome =
    first.result === "delivered" && channel.kind === "pagerduty" ? await send("resolved") : first;
  const about = { channel: name, kind: channel.kind, id: `test/${id}`, durationMs: clock.now() - started };
  return outcome.result === "delivered"
    ? delivered(terminal, { ...about, delivered: true, host: outcome.host, status: outcome.status })
    : missed(terminal, { ...about, delivered: false }, outcome.error);
}

function delivered(terminal: Terminal, result: NotifyTestResult): number {
  const { channel, kind, host, status, durationMs } = result;
  terminal.show(`${channel} (${kind}): ${host} has taken it with ${status}, in ${duration(durationMs)}`);
  terminal.result(result);
  return exitCodes.done;
}

function missed(
  terminal: Terminal,
  result: NotifyTestResult,
  { code, message, remedy }: KeyturnError,
): number {
  terminal.warn(`${result.channel} (${result.kind}) was not reached: ${code}: ${message}`);
  terminal.warn(`  ${remedy}`);
  terminal.result({ ...result, error: { code, message, remedy } } satisfies NotifyTestResult);
  return exitCodeOf(code);
}

/** Any store names the installation. */
async function firstStore(opened: OpenManifest) {
  const [name] = opened.manifest.stores.keys();
  if (name === undefined) throw new KeyturnError("manifest-invalid", `${opened.manifest.path} has no store`);
  return opened.store(name);
}

function unknownChannel({ manifest }: OpenManifest, name: string): KeyturnError {
  const names = [...manifest.notify.keys()];
  const list = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  return new KeyturnError("input-invalid", `${manifest.path} has no channel ${name}; ${list}`);
}
