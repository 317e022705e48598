import type { SecretStore } from "../core/ports.ts";

/** Goes around every call for one secret. */
type Around = <Result>(ref: string, work: () => Promise<Result>) => Promise<Result>;

/** One store made of several: each secret is asked for where it is. `where` may refuse to say; that is told by whatever was asked. */
export function routedStore(
  where: (ref: string) => SecretStore,
  list: SecretStore["list"],
  around: Around = (_, work) => work(),
): SecretStore {
  const ask = <Result>(ref: string, work: (store: SecretStore) => Promise<Result>) =>
    around(ref, async () => work(where(ref)));
  return {
    list,
    versions: (ref) => ask(ref, (store) => store.versions(ref)),
    read: (ref, which) => ask(ref, (store) => store.read(ref, which)),
    savePending: (ref, id, value) => ask(ref, (store) => store.savePending(ref, id, value)),
    discardPending: (ref, id) => ask(ref, (store) => store.discardPending(ref, id)),
    promote: (ref, id, expected) => ask(ref, (store) => store.promote(ref, id, expected)),
    disable: (ref, version) => ask(ref, (store) => store.disable(ref, version)),
  };
}
