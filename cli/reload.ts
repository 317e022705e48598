import { asKeyturnError } from "../core/errors.ts";
import { enrolSchedules } from "../core/operate.ts";
import type { Log } from "../core/ports.ts";
import { ManifestWatch } from "./manifest-watch.ts";
import type { OpenManifest, OpenStore } from "./open.ts";

/** Takes a changed manifest over where it can be used. Where it cannot, everything goes on by the old one, and the log says why. */
export function reloadManifest(opened: Pick<OpenManifest, "reload">, log: Log): boolean {
  try {
    opened.reload();
    return true;
  } catch (thrown) {
    const { code, message } = asKeyturnError(thrown);
    log("warn", "the changed manifest cannot be used; the one before it stays in force", { code, message });
    return false;
  }
}

interface Follower {
  readonly opened: OpenManifest;
  readonly store: Pick<OpenStore, "ports">;
  readonly worker: { reload(): void };
  readonly scheduler: { wake(): void };
  readonly notifications: { reload(): Promise<void> };
  readonly log: Log;
}

/** Lets a service that runs follow its manifest, until it is disposed of. */
export function followManifest({
  opened,
  store,
  worker,
  scheduler,
  notifications,
  log,
}: Follower): Disposable {
  const follow = async (isChanged: boolean): Promise<void> => {
    if (!reloadManifest(opened, log)) return;
    const secrets = store.ports.secrets.refs().length;
    log(isChanged ? "info" : "debug", "the manifest is read anew", { secrets });
    worker.reload();
    await notifications.reload();
    await enrolSchedules(store.ports);
    scheduler.wake();
  };
  return new ManifestWatch(
    () => opened.manifest.files,
    (isChanged) =>
      void follow(isChanged).catch((thrown: unknown) => {
        const { code, message } = asKeyturnError(thrown);
        log("warn", "the new schedules are not in force yet", { code, message });
      }),
  );
}
