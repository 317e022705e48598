import { verifyWithFallback } from "@octokit/webhooks-methods";
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from "aws-lambda";
import { asKeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import { decodeGithub, foundMessage } from "./decode.ts";
import { foreignJson } from "./foreign-json.ts";

interface WebhookOptions {
  /** What GitHub signs with; several while one takes over from another. Asked for when it is needed. */
  readonly secrets: () => Promise<readonly Secret[]>;
  /** Puts a message on the incidents' queue. */
  readonly enqueue: (body: string) => Promise<void>;
  readonly log: Log;
}

/** GitHub sends no more; and whoever else does is not listened to for long. */
const bodyMax = 1024 * 1024;

/**
 * Takes a webhook of GitHub. What is not signed by GitHub is answered 401 and changes nothing; what is, goes on the queue in our own words, and
 * is carried out from there, so that GitHub need not wait, and nothing is lost when a part of ours is down. A delivery that comes twice is carried out
 * twice, which is once.
 */
export async function takeWebhook(
  { secrets, enqueue, log }: WebhookOptions,
  event: LambdaFunctionURLEvent,
): Promise<LambdaFunctionURLResult> {
  const { headers, body = "", isBase64Encoded } = event;
  const raw = isBase64Encoded ? Buffer.from(body, "base64").toString("utf8") : body;
  const signature = headers["x-hub-signature-256"] ?? "";
  try {
    if (event.requestContext.http.method !== "POST") return said(405, "send alerts by POST");
    if (raw.length > bodyMax) return said(413, "too long");
    if (!(await isSigned(raw, signature, await secrets()))) {
      log("warn", "a webhook with a wrong signature was refused", {
        from: event.requestContext.http.sourceIp,
      });
      return said(401, "the signature is wrong");
    }
    const incident = decodeGithub(headers["x-github-event"] ?? "", foreignJson(raw));
    if (incident.kind === "value-found") await enqueue(foundMessage(incident));
    return said(202, incident.because);
  } catch (thrown) {
    const { code, message, disposition } = asKeyturnError(thrown);
    log("error", "a webhook of GitHub could not be taken", { code, reason: message });
    // GitHub shows it where webhooks are set up; its deliveries can be sent again from there.
    return disposition === "retry" ? said(503, "try again") : said(400, message);
  }
}

async function isSigned(raw: string, signature: string, secrets: readonly Secret[]): Promise<boolean> {
  const [first, ...others] = secrets.map((secret) => secret.reveal());
  if (first === undefined || raw === "" || signature === "") return false;
  return verifyWithFallback(first, raw, signature, others);
}

function said(statusCode: number, message: string): LambdaFunctionURLResult {
  return { statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify({ message }) };
}
