import * as z from "zod";
import { ChannelSchema, PersonSchema } from "./schema-notify.ts";
import { PolicySchema } from "./schema-policy.ts";
import { QuotaSchema, ScheduleSchema } from "./schema-schedule.ts";
import { awsAccount, duration, grace, later, name, path, ref, reference } from "./schema-words.ts";

// What stands in `meta` besides descriptions is JSON Schema: there the published schema says what the checks beside this file refuse.

const StoreSchema = z
  .strictObject({
    local: z
      .strictObject({
        path: path.describe("The folder, relative to this file."),
        key: path
          .optional()
          .describe(
            "The file of the key that encrypts the store. Default: in the user's configuration folder.",
          ),
      })
      .optional()
      .describe("Encrypted files on this machine."),
    quota: QuotaSchema.optional().describe(
      "How often rotations of its secrets may begin by themselves. What a person asks for, and an emergency, never waits. Default: as often as they are due.",
    ),
    aws: z
      .strictObject({
        account: awsAccount.describe(
          "The account of the installation, and of secrets that name no other: twelve digits, in quotes.",
        ),
        region: z
          .string()
          .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "is not a region, such as eu-west-1")
          .describe("The region that the secrets are in, such as eu-west-1."),
        installation: z
          .string()
          .regex(
            /^[a-z](-?[a-z0-9]){0,19}$/,
            "is not a name of an installation: at most 20 lower-case letters, digits and single dashes, a letter first",
          )
          .optional()
          .describe("What all that is deployed for it is named by. Default: the store's name."),
        secretsBy: z
          .enum(["name", "tag"])
          .optional()
          .describe(
            "How a function's rights name its secrets. `tag`: by `keyturn:installation`, `keyturn:type` and `keyturn:tenant`, for more than several hundred of a type; `keyturn doctor --fix` sets them. Default: name.",
          ),
        role: z
          .string()
          .min(1, "must name a role")
          .optional()
          .describe(
            "The role of that account, or its ARN, by which `keyturn` works. Default: whoever calls it.",
          ),
      })
      .optional()
      .describe("AWS Secrets Manager in one region, worked on by what is deployed in one account."),
    azure: later,
    gcp: later,
  })
  .meta({ oneOf: [{ required: ["local"] }, { required: ["aws"] }] });

export const SecretSchema = z
  .strictObject({
    // Required, but it is `check-secrets.ts` that says so: an entry without them is still looked at for everything else.
    store: name.optional().describe("The store that keeps it, one of `stores`."),
    type: name
      .optional()
      .describe(
        "The credential type; `held` for what is only kept, such as an administering login that is changed by hand.",
      ),
    account: awsAccount
      .optional()
      .describe(
        "The account that it is in, where that is not its store's: twelve digits, in quotes. For stores on AWS.",
      ),
    config: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("Where the credential is used and for whom it is, as its type wants it. Never a value."),
    admin: reference
      .optional()
      .describe("The login by which the target is changed; the secret itself where it administers itself."),
    schedule: ScheduleSchema.optional().describe("When it is rotated without being asked."),
    grace: grace.optional().describe("How long the old credential works beside the new one."),
    cacheTtl: duration
      .optional()
      .describe("The longest time an agent may go on with a value that it has read. Default: 1m."),
    fleets: z.array(name).optional().describe("Who may read it."),
    tenant: name
      .optional()
      .describe("Whose it is. What belongs to one tenant is never administered by what belongs to another."),
    notify: z.array(name).optional().describe("The channels that are told of it."),
  })
  .meta({ required: ["store", "type"] });

/** One file. Written without unions, so that a path leads to one schema and a field that nobody knows to its neighbours. */
export const FileSchema = z.strictObject({
  include: z
    .array(z.string().min(1, "must name files"))
    .optional()
    .describe("More files, relative to this one; `*` stands for any part of a name, `**` for any folders."),
  stores: z.record(name, StoreSchema).optional().describe("Where secrets are kept, by name."),
  policies: z
    .array(PolicySchema)
    .optional()
    .describe(
      "What holds for many secrets. Of two that match, the first that speaks of a field has the say.",
    ),
  secrets: z.record(ref, SecretSchema).optional().describe("The secrets, by reference."),
  notify: z
    .record(name, ChannelSchema)
    .optional()
    .describe("Who is told when a person should look, by name."),
  people: z
    .record(name, PersonSchema)
    .optional()
    .describe("Those who may be asked to agree, by name; in the main file alone."),
});
export type FileContent = z.infer<typeof FileSchema>;
export type SecretContent = z.infer<typeof SecretSchema>;
export type StoreContent = z.infer<typeof StoreSchema>;
