interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Fits every client of the SDK. */
export interface AwsConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: AwsCredentials;
}

const testing = { accessKeyId: "test", secretAccessKey: "test" } as const;

/** Everything is in one region; an emulator that checks no signatures takes these credentials. */
export function awsConfig(endpoint: string, credentials: AwsCredentials = testing): AwsConfig {
  return { endpoint, region: "us-east-1", credentials };
}
