import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, CfnOutput, Duration, Stack } from "aws-cdk-lib";
import { Code, Function as LambdaFunction, Runtime } from "aws-cdk-lib/aws-lambda";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { rotatingFunction } from "./rotating-function.ts";

/** The least that is rotated: a secret, and the function that its schedule calls. */
const app = new App();
const stack = new Stack(app, "Smallest");
const code = mkdtempSync(join(tmpdir(), "keyturn-cdk-code-"));
process.once("exit", () => rmSync(code, { recursive: true }));
writeFileSync(join(code, "index.mjs"), rotatingFunction());
const rotator = new LambdaFunction(stack, "Rotator", {
  runtime: Runtime.NODEJS_24_X,
  handler: "index.handler",
  code: Code.fromAsset(code),
  timeout: Duration.seconds(20),
});
const secret = new Secret(stack, "Secret", { secretName: "smallest" });
secret.addRotationSchedule("Schedule", {
  rotationLambda: rotator,
  automaticallyAfter: Duration.days(30),
});
new CfnOutput(stack, "Marker", { value: app.node.tryGetContext("marker") });
new CfnOutput(stack, "RotatorArn", { value: rotator.functionArn });
app.synth();
