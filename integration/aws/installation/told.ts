import * as z from "zod/mini";

const AwsConfig = z.object({
  endpoint: z.string(),
  region: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
});

/** What tests may know of the installation that they share. */
export const Told = z.object({
  aws: AwsConfig,
  /** Where the journal's table is, without LocalStack between. */
  tables: AwsConfig,
  /** Where IAM and STS are, with the account's own key. */
  iam: AwsConfig,
  gate: z.string(),
  /** The program of hosts, bundled. */
  hosts: z.string(),
  manifest: z.string(),
  outputs: z.record(z.string(), z.string()),
  postgres: z.object({
    host: z.string(),
    port: z.number(),
    ca: z.string(),
    superuser: z.object({ username: z.string(), password: z.string() }),
  }),
});
export type Told = z.infer<typeof Told>;
