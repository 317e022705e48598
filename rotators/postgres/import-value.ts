import { KeyturnError } from "../../core/errors.ts";
import { withMembers } from "../../core/json-text.ts";
import { Secret } from "../../core/secret.ts";

/** Where the manifest says that the credential is used. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly database: string;
}

const forms =
  'a JSON object with "username" and "password", a PostgreSQL connection string or URL, or the name and the password on two lines';

/**
 * The JSON text of a credential, out of what a person has: JSON stays as it is, byte for byte, whatever else is in it. Host, port and
 * database are added where they are missing, since agents connect by them.
 */
export function credentialFrom(input: Secret, address: Address): Secret {
  // Editors of some systems write a mark in front of the text.
  const text = input.reveal().replace(/^\uFEFF/, "");
  const json = text.trim().startsWith("{") ? text.trim() : JSON.stringify(fieldsOf(text));
  const fields = objectIn(json);
  const { value, ...others } = fields;
  // What was put into the store as a single text.
  if (typeof value === "string" && Object.keys(others).length === 0 && !value.trimStart().startsWith("{"))
    return credentialFrom(new Secret(value), address);
  const missing = Object.entries(address).filter(([name]) => !Object.hasOwn(fields, name));
  return new Secret(withMembers(json, Object.fromEntries(missing)));
}

function objectIn(json: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(json));
  } catch {
    // The parser's own message quotes the text, which is the secret.
    throw new KeyturnError("input-invalid", `the value begins like JSON and is none; it must be ${forms}`);
  }
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  const lines = text.split(/\r?\n/);
  while (lines.length > 1 && lines.at(-1) === "") lines.pop();
  const [first = "", second = "", ...rest] = lines;
  if (lines.length === 1 && /^\s*postgres(ql)?:\/\//i.test(first)) return fromUrl(first.trim());
  if (lines.length === 1 && /(^|\s)(user|password|host)\s*=/.test(first)) return fromKeywords(first);
  if (first === "" || second === "" || rest.length > 0) {
    throw new KeyturnError("input-invalid", `the value must be ${forms}`);
  }
  return { username: first, password: second };
}

function fromUrl(text: string): Readonly<Record<string, unknown>> {
  try {
    const url = new URL(text);
    // TLS is always verified, and what else stands behind the question mark is the client's and no credential.
    return credential({
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      host: decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
      port: url.port,
      dbname: decodeURIComponent(url.pathname.slice(1)),
    });
  } catch (thrown) {
    if (thrown instanceof KeyturnError) throw thrown;
    throw new KeyturnError(
      "input-invalid",
      "the connection URL cannot be read: one host, and in the name and the password %, /, ?, # and @ as %25, %2F, %3F, %23 and %40",
    );
  }
}

/** `host=… user=… password='…'`, quoted as in libpq: a backslash before a quote or another backslash. */
function fromKeywords(text: string): Readonly<Record<string, unknown>> {
  const pair = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/y;
  const found: Record<string, string> = {};
  while (text.slice(pair.lastIndex).trim() !== "") {
    const [, name, quoted, plain] = pair.exec(text) ?? [];
    if (name === undefined) {
      throw new KeyturnError(
        "input-invalid",
        "the connection string cannot be read: name=value, and values with spaces in single quotes",
      );
    }
    found[name] = (quoted ?? plain ?? "").replaceAll(/\\(.)/gs, "$1");
  }
  return credential(found);
}

function credential(parts: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  const { user, password, host, port, dbname } = parts;
  if (!user || !password) {
    throw new KeyturnError("input-invalid", "the connection string names no user, or has no password");
  }
  return {
    username: user,
    password,
    ...(host ? { host } : {}),
    ...(port ? { port: Number(port) } : {}),
    ...(dbname ? { database: dbname } : {}),
  };
}
