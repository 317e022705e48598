import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { KeyturnError } from "../core/errors.ts";
import { type AwsPart, translateAws } from "./aws-errors.ts";

const part: AwsPart = { name: "SQS", outage: "bus-unavailable" };

/** SQS takes so much of an attribute and its message together; the rest is for the message. */
const reasonMax = 1_000;

/** Where a message goes that can never be carried out: it keeps up nobody, and a person can read why. */
export interface DeadLetters {
  put(body: string, reason: KeyturnError): Promise<void>;
}

export function openDeadLetters(client: SQSClient, queueUrl: string): DeadLetters {
  return {
    put: async (body, { code, message }) => {
      const text = (value: string) => ({ DataType: "String", StringValue: printable(value) });
      await client
        .send(
          new SendMessageCommand({
            QueueUrl: queueUrl,
            MessageBody: body,
            MessageAttributes: { code: text(code), reason: text(message.slice(0, reasonMax)) },
          }),
        )
        .catch((thrown: unknown) => {
          throw translateAws(thrown, part, "putting a message aside");
        });
    },
  };
}

/** SQS refuses a whole message for one character that XML does not have. */
function printable(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD]/g, "�") || "no reason";
}
