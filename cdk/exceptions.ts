import type { CfnElement } from "aws-cdk-lib";
import { CfnResource } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

interface Exception {
  /** A rule of cdk-nag, such as `AwsSolutions-IAM5`. */
  readonly id: string;
  readonly reason: string;
}

/**
 * Says why a part does not keep a rule of cdk-nag, in the words in which cdk-nag asks for it, on the part itself and on all that it is made of. It is written
 * into the template: whoever runs cdk-nag over a stack of theirs finds the reason there, and nobody needs cdk-nag to deploy.
 */
export function except(part: IConstruct, ...exceptions: readonly Exception[]): void {
  for (const resource of part.node.findAll()) {
    if (!isResource(resource)) continue;
    const known: unknown = resource.getMetadata("cdk_nag");
    const { rules_to_suppress: before = [] }: { readonly rules_to_suppress?: readonly Exception[] } =
      Object(known);
    const added = exceptions.filter(({ id }) => !before.some((one) => one.id === id));
    resource.addMetadata("cdk_nag", { rules_to_suppress: [...before, ...added] });
  }
}

function isResource(construct: IConstruct): construct is CfnResource & CfnElement {
  return CfnResource.isCfnResource(construct);
}
