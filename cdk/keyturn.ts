import { CfnOutput, Duration, Stack } from "aws-cdk-lib";
import type { ManagedPolicy } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { Code, IFunction } from "aws-cdk-lib/aws-lambda";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import { accountOf, otherAccounts, rolesOf } from "./accounts.ts";
import { ownCode } from "./code.ts";
import { credentialTypes } from "./credential-types.ts";
import { addDashboard } from "./dashboard.ts";
import { addEndpoints } from "./endpoints.ts";
import { Fabric, type Network, workQueuePrefix } from "./fabric.ts";
import { FanOut } from "./fan-out.ts";
import { Incidents, type Webhook } from "./incidents.ts";
import type { KeyturnFunction } from "./make-function.ts";
import { Names } from "./names.ts";
import { byType, type Plan } from "./plan.ts";
import { Rotating, rotatingTimeout } from "./rotating.ts";
import { addEnrolling, addRevoking, addTick } from "./serving.ts";
import { Telling } from "./telling.ts";
import { WatchedQueue } from "./watched-queue.ts";

export interface KeyturnProps {
  /** What is rotated, and for whom. */
  readonly plan: Plan;
  /** Where the functions are whose targets are in a network. Default: in none, which reaches only what the internet reaches. */
  readonly network?: Network;
  /** Ways to the services of AWS inside that network, for one that has none to the internet. Default: false. */
  readonly vpcEndpoints?: boolean;
  /** The keys by which the secrets are encrypted, where they are not encrypted by `aws/secretsmanager`. */
  readonly secretKeys?: readonly IKey[];
  /** How many secrets of one type are worked on at once; undefined reserves nothing, for any function. Default: 10. */
  readonly reservedConcurrency?: number | undefined;
  /** Default: three months. */
  readonly logRetention?: RetentionDays;
  /** For how long nobody can take away a line of the audit, the account's root included. Default: a year. */
  readonly auditRetention?: Duration;
  /** An address at which GitHub delivers secret_scanning_alert. Default: none. */
  readonly webhook?: Webhook;
  /** The names of roles whose sessions may be ended when one of them is stolen: whoever may do that may write a policy of theirs. Default: none. */
  readonly revocableRoles?: readonly string[];
  /**
   * Whether Secrets Manager is told which function rotates each secret, so that RotateSecret, and the console, call it. Then every secret of the store has
   * to be there when the stack is deployed. Default: true; without it Keyturn drives all steps itself.
   */
  readonly nativeRotation?: boolean;
  /** Account → the role in it by which its secrets are reached. Default: the one that `KeyturnAccount` makes there. */
  readonly accounts?: Readonly<Record<string, string>>;
  /** The keys of an installation that was destroyed, and is taken up again. */
  readonly dataKey?: IKey;
  readonly messagesKey?: IKey;
  /** The code of a function by its name. Default: Keyturn's own. */
  readonly code?: (bundle: string) => Code;
}

/**
 * An installation of Keyturn: everything between Secrets Manager, the targets and the fleets of one account and region. What would be missed when it is gone
 * (journal, audit, fingerprint keys, the keys of KMS, and every secret) stays when its stack is destroyed.
 */
export class Keyturn extends Construct {
  /** The function of each credential type. */
  readonly rotators: ReadonlyMap<string, IFunction>;
  /** By fleet: what the roles of its agents are given. */
  readonly agentPolicies: ReadonlyMap<string, readonly ManagedPolicy[]>;
  /** Where every alarm goes: subscribe whoever is on call. */
  readonly alarms: ITopic;

  constructor(scope: Construct, id: string, props: KeyturnProps) {
    super(scope, id);
    const {
      plan,
      secretKeys = [],
      reservedConcurrency: concurrency,
    } = {
      reservedConcurrency: 10,
      ...props,
    };
    const names = new Names(plan.installation);
    const types = byType(plan.secrets);
    const roles = rolesOf(this, plan, props.accounts ?? {});
    const fabric = new Fabric(this, "Fabric", {
      names,
      code: props.code ?? ownCode([...types.keys()], plan.files),
      network: props.network,
      logRetention: props.logRetention ?? RetentionDays.THREE_MONTHS,
      auditRetention: props.auditRetention ?? Duration.days(365),
      dataKey: props.dataKey,
      messagesKey: props.messagesKey,
      roles: Object.fromEntries(roles),
    });
    const work = new Map(
      [...types.keys()].map((type) => [
        type,
        new WatchedQueue(this, `Work-${type}`, {
          name: names.workQueue(type),
          key: fabric.keys.messages,
          alarms: fabric.alarms,
          timeout: rotatingTimeout,
          patience: Duration.minutes(15),
        }),
      ]),
    );
    const [first] = work;
    if (first === undefined) {
      throw new KeyturnError(
        "config-invalid",
        "no secret of this store is rotated: there is nothing to deploy",
      );
    }
    const isHere = (ref: string) => accountOf(plan, ref) === plan.account;
    const environment = fabric.environment(workQueuePrefix(first[0], first[1].queue));
    const rotating = [...types].map(([type, secrets]) => {
      const [rotator, queue] = [credentialTypes.get(type), work.get(type)];
      if (rotator === undefined || queue === undefined) {
        throw new KeyturnError("config-invalid", `there is no type ${type}`);
      }
      const made = new Rotating(this, `Type-${type}`, {
        fabric,
        rotator,
        secrets,
        isHere,
        roles: otherAccounts(plan, secrets).flatMap((account) => roles.get(account) ?? []),
        work: queue,
        environment,
        concurrency,
        secretsBy: plan.secretsBy,
        secretKeys,
        isNative: props.nativeRotation ?? true,
      });
      return [type, made.function] as const;
    });
    const fanOut = new FanOut(this, "FanOut", {
      fabric,
      secrets: plan.secrets,
      rotators: credentialTypes,
      secretKeys,
    });
    const incidents = new Incidents(this, "Incidents", fabric);
    const serving = {
      fabric,
      environment,
      work: [...work.values()],
      fanOut,
      incidents,
      isReserving: concurrency !== undefined,
    };
    const others: readonly KeyturnFunction[] = [
      addTick(this, serving, plan.secretsBy),
      addRevoking(this, serving, {
        plan,
        isHere,
        roles: [...roles.values()],
        secretKeys,
        webhook: props.webhook,
        revocableRoles: props.revocableRoles ?? [],
      }),
      addEnrolling(this, serving),
    ];
    addDashboard(this, "Dashboard", {
      fabric,
      telling: new Telling(this, "Telling", fabric),
      functions: [...rotating.map(([, made]) => made), ...others],
      queues: [...work.values(), incidents.incoming, fanOut.reports],
      secrets: plan.secrets.length,
    });
    if (props.vpcEndpoints === true) addEndpoints(this, props.network);
    this.rotators = new Map(rotating.map(([type, { handler }]) => [type, handler]));
    this.agentPolicies = fanOut.agentPolicies;
    this.alarms = fabric.alarms.topic;
    this.#tell(fabric);
  }

  /** What a person needs next, and what stays when the stack is destroyed. */
  #tell(fabric: Fabric): void {
    const { keys, table, bucket, fingerprints } = fabric;
    const output = (id: string, value: string, description: string) =>
      new CfnOutput(Stack.of(this), id, { value, description });
    output("Bus", fabric.bus.eventBusName, "The bus of events");
    output("AlarmTopic", this.alarms.topicArn, "Subscribe whoever is on call");
    for (const [fleet, [policy]] of this.agentPolicies) {
      if (policy === undefined) continue;
      output(
        `Agents${fleet.replaceAll(/\W/g, "")}`,
        policy.managedPolicyArn,
        `Attach to the roles of ${fleet}`,
      );
    }
    const kept = [
      table.tableArn,
      bucket.bucketArn,
      fingerprints.secretName,
      keys.data.keyArn,
      keys.messages.keyArn,
    ];
    output(
      "StaysAtDestroy",
      kept.join(" "),
      "Kept when the stack is destroyed, as are all secrets: docs/aws.md",
    );
  }
}

export { KeyturnAccount, type KeyturnAccountProps } from "./account.ts";
export { type Plan, planOf } from "./plan.ts";
