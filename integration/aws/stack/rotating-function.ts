const sdk = import.meta.resolve("@aws-sdk/client-secrets-manager");

/** Carries out the least that each step of a rotation has to do, says which, and fails where it is told to. */
export function rotatingFunction(failing = "none"): string {
  return `
import { DescribeSecretCommand, PutSecretValueCommand, SecretsManagerClient, UpdateSecretVersionStageCommand } from "${sdk}";
const manager = new SecretsManagerClient();
export async function handler({ Step, SecretId, ClientRequestToken }) {
  console.log("step", Step, process.pid, SecretId);
  if (Step === "${failing}") throw new Error("told to");
  if (Step === "createSecret")
    await manager.send(new PutSecretValueCommand({ SecretId, ClientRequestToken, SecretString: "next", VersionStages: ["AWSPENDING"] }));
  if (Step !== "finishSecret") return;
  const { VersionIdsToStages } = await manager.send(new DescribeSecretCommand({ SecretId }));
  const [RemoveFromVersionId] = Object.entries(VersionIdsToStages).find(([, stages]) => stages.includes("AWSCURRENT"));
  await manager.send(new UpdateSecretVersionStageCommand({ SecretId, VersionStage: "AWSCURRENT", MoveToVersionId: ClientRequestToken, RemoveFromVersionId }));
}`;
}
