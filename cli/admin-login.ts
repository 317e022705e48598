import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { readSecret } from "./standard-input.ts";

/** An administering login from standard input: JSON as it is; otherwise the user's name on the first line and the password on the second. */
export async function readAdminLogin(): Promise<Secret> {
  const text = (await readSecret("administering login, as JSON: ")).reveal();
  if (text.trimStart().startsWith("{")) return new Secret(text.trim());
  const [username, password, ...rest] = text.split(/\r?\n/);
  if (username === undefined || !password || rest.some((line) => line !== "")) {
    throw new KeyturnError(
      "input-invalid",
      'standard input must be {"username": …, "password": …}, or the name and the password on two lines',
    );
  }
  return new Secret(JSON.stringify({ username, password }));
}
