import { verifyWithFallback } from "@octokit/webhooks-methods";
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from "aws-lambda";
import { asKeyturnError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Secret } from "../core/secret.ts";
import { decodeGithub, foundMessage, misunderstoodMessage } from "./decode.ts";
import { foreignJson } from "./foreign-json.ts";
import { logLines } from "./log-lines.ts";

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
 * is carried out from there, so that GitHub need not wait, and nothing is lost when a part of ours is down. What is signed and not understood goes
 * there, too, and from there to a person. A delivery that comes twice is carried out twice, which is once.
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
    return await takeSigned(raw, headers, enqueue);
  } catch (thrown) {
    const { code, message, disposition } = asKeyturnError(thrown);
    log("error", logLines.webhookNotTaken, { code, reason: message });
    // GitHub shows it where webhooks are set up; its deliveries can be sent again from there.
    return disposition === "retry" ? said(503, "try again") : said(400, message);
  }
}

async function takeSigned(
  raw: string,
  headers: LambdaFunctionURLEvent["headers"],
  enqueue: WebhookOptions["enqueue"],
): Promise<LambdaFunctionURLResult> {
  const understood = understand(headers["x-github-event"] ?? "", raw);
  if ("why" in understood) {
    await enqueue(misunderstoodMessage(headers["x-github-delivery"] ?? "", understood.why));
    return said(202, `a person is called: ${understood.why}`);
  }
  if (understood.kind === "value-found") await enqueue(foundMessage(understood));
  return said(202, understood.because);
}

/** What GitHub has signed is never dropped: what nobody understands may be an alert. */
function understand(event: string, raw: string): ReturnType<typeof decodeGithub> | { readonly why: string } {
  try {
    return decodeGithub(event, foreignJson(raw));
  } catch (thrown) {
    return { why: asKeyturnError(thrown).message };
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
