import { type Ended, runKeyturn } from "../../keyturn-command.ts";
import { installation } from "./installation.ts";

const { aws, iam, manifest } = installation;

/** Runs the command as a person of the account does, with the manifest that was deployed. */
export function keyturn(args: readonly string[], input = "", file = manifest): Promise<Ended> {
  return runKeyturn(["--manifest", file, ...args], {
    input,
    environment: {
      ...process.env,
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_ENDPOINT_URL_KMS: iam.endpoint,
      AWS_ACCESS_KEY_ID: iam.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: iam.credentials.secretAccessKey,
    },
  });
}
