import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "../core/secret.ts";
import { loadRotator, rotatorTypes } from "./registry.ts";

const canary = "canary-Zt5Vq1Lm8Rw3-of-a-value";
/** Stored values of which nothing can be made: what is secret stands where a value may be, and where a name may be. */
const values: Readonly<Record<string, string>> = {
  "no JSON": `{"password":"${canary}"`,
  "a text": JSON.stringify(canary),
  "a list": JSON.stringify([canary]),
  "a field of that name": JSON.stringify({ [canary]: canary }),
  "fields of another kind": JSON.stringify({
    username: { [canary]: canary },
    password: [canary],
    accessKeyId: [canary],
    secretAccessKey: { [canary]: 1 },
    host: [canary],
  }),
  "a key that is none": JSON.stringify({
    accessKeyId: canary,
    secretAccessKey: "",
    username: "",
    password: "",
  }),
};

describe.each(rotatorTypes)("%s", (type) => {
  test.each(Object.entries(values))(
    "says of a value that is not usable nothing that stands in it: %s",
    async (_, text) => {
      const rotator = await loadRotator(type);
      for (const check of [rotator.checkCredential, rotator.checkAdmin]) {
        let failure: unknown;
        try {
          check(new Secret(text));
        } catch (thrown) {
          failure = thrown;
        }
        // Not every type has an administering login of fields.
        if (check === rotator.checkCredential) expect(failure).toMatchObject({ code: "credential-invalid" });
        expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain(canary);
      }
    },
  );
});
