import type { SecretStore } from "../core/ports.ts";

/** One store made of several: each secret is asked for where it is. `where` may refuse to say; that is told by whatever was asked. */
export function routedStore(where: (ref: string) => SecretStore, list: SecretStore["list"]): SecretStore {
  return {
    list,
    versions: async (ref) => where(ref).versions(ref),
    read: async (ref, which) => where(ref).read(ref, which),
    savePending: async (ref, rotationId, value) => where(ref).savePending(ref, rotationId, value),
    discardPending: async (ref, rotationId) => where(ref).discardPending(ref, rotationId),
    promote: async (ref, rotationId, expectedCurrent) => where(ref).promote(ref, rotationId, expectedCurrent),
    disable: async (ref, version) => where(ref).disable(ref, version),
  };
}
