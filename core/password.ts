import type { Random } from "./ports.ts";
import { Secret } from "./secret.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** An ASCII password that needs no quoting in a URL, a shell or a connection string; six bits a character. */
export function generatePassword(random: Random, length = 40): Secret {
  // 64 letters divide 256 evenly, so no letter is likelier than another.
  return new Secret(Array.from(random.bytes(length), (byte) => alphabet.charAt(byte % 64)).join(""));
}
