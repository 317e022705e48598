import { GetCallerIdentityCommand, STSClient, type STSClientConfig } from "@aws-sdk/client-sts";

/** The ARN of whoever's key signs the call; empty where STS does not say it. Throws what the SDK throws. */
export async function askCaller(settings: STSClientConfig, abortSignal: AbortSignal): Promise<string> {
  const client = new STSClient(settings);
  try {
    const { Arn = "" } = await client.send(new GetCallerIdentityCommand({}), { abortSignal });
    return Arn;
  } finally {
    client.destroy();
  }
}
