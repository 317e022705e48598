import { App } from "aws-cdk-lib";
import { addInstallation } from "./command-line.ts";

/**
 * The stack of one store of a manifest: `npx cdk deploy -c manifest=keyturn.yaml`. What else can be said by `-c`, docs/aws.md tells; whoever wants more uses the
 * construct in an app of their own.
 */
const app = new App({ context: { "@aws-cdk/core:enablePartitionLiterals": true } });
addInstallation(app);
app.synth();
