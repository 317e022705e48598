export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** The installation on AWS that a process listens to. It reads secrets, and speaks, with its own identity. */
export interface AwsOptions {
  /** The name that the installation was deployed by. */
  readonly installation: string;
  /** The installation's region; the environment's where none is given. */
  readonly region?: string;
  /** An identity that the environment does not give. */
  readonly credentials?: AwsCredentials | (() => Promise<AwsCredentials>);
  /** For another address than AWS's own. */
  readonly endpoint?: string;
  /** For a Lambda function: it has no queue, and is not told of anything. */
  readonly lambda?: LambdaOptions;
}

export interface LambdaOptions {
  /** What it reads, by reference, as the manifest has it. */
  readonly secrets: Readonly<Record<string, LambdaSecret>>;
  /** What was read before is read again by the first invocation after so long: the `cacheTtl` of the manifest at the most. */
  readonly maxStaleMs: number;
}

export interface LambdaSecret {
  readonly type: string;
  readonly overlap: "both-live" | "cutover";
}
