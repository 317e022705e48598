import { join } from "node:path";
import { asKeyturnError, KeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { type LocalNotifyLedger, openNotifyLedger } from "../local/notify-ledger.ts";
import type { Delivery } from "../notify/courier.ts";
import { assertUsable } from "../notify/deliver.ts";
import { Notifier } from "../notify/notifier.ts";
import { testNotice } from "../notify/test-notice.ts";
import { channelSecrets, senderOf } from "./channel-secrets.ts";
import { assertLocal, type LocalOpenStore, type OpenManifest } from "./open.ts";

/** The service's messages to people. Nothing of it ever fails or delays the service. */
export interface Notifications extends AsyncDisposable {
  /** The manifest was read anew: from now on its channels are told. */
  reload(): Promise<void>;
}

/** Tells the channels of the manifest what happens to the store's secrets, until it is disposed of. */
export async function startNotifications(
  opened: OpenManifest,
  store: LocalOpenStore,
  log: Log,
  notified: (channel: string, outcome: "delivered" | "failed" | "dropped") => void,
): Promise<Notifications> {
  let ledger: LocalNotifyLedger | undefined;
  let notifier: Notifier | undefined;
  let channels = "";
  let isOver = false;
  const stop = async (): Promise<void> => {
    await notifier?.stop();
    notifier = undefined;
  };
  const start = async (): Promise<void> => {
    channels = JSON.stringify([...opened.manifest.notify]);
    if (opened.manifest.notify.size === 0) return;
    try {
      ledger ??= await openLedger(opened, store, log);
      notifier = notifierFor(opened, store, ledger, log, notified);
      await warnOfUnusable(opened, store, log);
    } catch (thrown) {
      const { code, message, remedy } = asKeyturnError(thrown);
      log("error", "nobody can be notified", { code, message, remedy });
    }
  };
  await start();
  return {
    reload: async () => {
      // Secrets are looked up in the manifest as it is; only the channels are kept.
      if (isOver || channels === JSON.stringify([...opened.manifest.notify])) return;
      await stop();
      await start();
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await stop();
      ledger?.[Symbol.dispose]();
    },
  };
}

async function openLedger({ manifest }: OpenManifest, { name, ports }: LocalOpenStore, log: Log) {
  const entry = manifest.stores.get(name);
  if (entry === undefined) throw new KeyturnError("manifest-invalid", `the manifest has no store ${name}`);
  assertLocal(entry);
  const ledger = await openNotifyLedger(join(entry.path, "notify.db"), ports.clock.now());
  if (ledger.replaced !== undefined) {
    log("warn", "who was notified of what was not readable: some of it is told again", {
      file: ledger.replaced,
    });
  }
  return ledger;
}

function notifierFor(
  opened: OpenManifest,
  store: LocalOpenStore,
  ledger: LocalNotifyLedger,
  log: Log,
  notified: (channel: string, outcome: "delivered" | "failed" | "dropped") => void,
): Notifier {
  const { local, ports } = store;
  return new Notifier({
    channels: opened.manifest.notify,
    secrets: {
      get: (ref) => (ports.secrets.get(ref) === undefined ? undefined : opened.manifest.secrets.get(ref)),
      refs: () => ports.secrets.refs(),
    },
    journal: ports.journal,
    bus: local.bus,
    ledger,
    clock: ports.clock,
    log,
    sender: senderOf(store),
    readSecret: channelSecrets(opened),
    onDelivery: ({ channel, outcome }) => notified(channel, counted(outcome)),
  });
}

function counted(outcome: Delivery["outcome"]): "delivered" | "failed" | "dropped" {
  switch (outcome) {
    case "delivered":
    case "failed":
      return outcome;
    case "gone":
      return "failed";
    case "refused":
    case "expired":
      return "dropped";
  }
}

/** What is missing is said when the service starts, not first when somebody should be told. */
async function warnOfUnusable(opened: OpenManifest, store: LocalOpenStore, log: Log): Promise<void> {
  const now = (): number => store.ports.clock.now();
  const notice = testNotice("opened", "start", "the service", now());
  const options = { sender: senderOf(store), readSecret: channelSecrets(opened), now };
  for (const channel of opened.manifest.notify.values()) {
    await assertUsable(channel, notice, options).catch((thrown: unknown) => {
      const { code, message, remedy } = asKeyturnError(thrown);
      log("warn", "a channel cannot be used as it is", { channel: channel.name, code, message, remedy });
    });
  }
}
