import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What a request says of who has signed it. */
export interface Signature {
  readonly accessKeyId: string;
  readonly sessionToken: string | undefined;
  /** Whether the signature is the one that this secret makes of the request as it arrived. */
  matches(secretAccessKey: string): boolean;
}

/** Reads and checks AWS's Signature Version 4 as a server does: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function readSignature(request: IncomingMessage, body: string): Signature | undefined {
  const { authorization = "" } = request.headers;
  const found =
    /^AWS4-HMAC-SHA256 Credential=(?<id>\w+)\/(?<scope>[^,]+), SignedHeaders=(?<names>[^,]+), Signature=(?<given>[0-9a-f]{64})$/.exec(
      authorization,
    );
  const { id = "", scope = "", names = "", given = "" } = found?.groups ?? {};
  if (found === null) return undefined;
  const header = (name: string) =>
    String(request.headers[name] ?? "")
      .trim()
      .replace(/\s+/g, " ");
  const url = new URL(request.url ?? "/", "http://localhost");
  const query = [...url.searchParams]
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .toSorted()
    .join("&");
  const canonical = [
    request.method,
    url.pathname,
    query,
    ...names.split(";").map((name) => `${name}:${header(name)}`),
    "",
    names,
    sha256(body),
  ].join("\n");
  const text = ["AWS4-HMAC-SHA256", header("x-amz-date"), scope, sha256(canonical)].join("\n");
  return {
    accessKeyId: id,
    sessionToken: header("x-amz-security-token") || undefined,
    matches: (secret) => {
      const key = scope
        .split("/")
        .reduce<string | Buffer>((signing, part) => hmac(signing, part), `AWS4${secret}`);
      return timingSafeEqual(hmac(key, text), Buffer.from(given, "hex"));
    },
  };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
