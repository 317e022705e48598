import { GatewayVpcEndpointAwsService, InterfaceVpcEndpointAwsService } from "aws-cdk-lib/aws-ec2";
import type { Construct } from "constructs";
import { KeyturnError } from "../core/errors.ts";
import type { Network } from "./fabric.ts";

/** What a rotating function asks, besides its target. */
const interfaces = {
  Events: InterfaceVpcEndpointAwsService.EVENTBRIDGE,
  Kms: InterfaceVpcEndpointAwsService.KMS,
  Lambda: InterfaceVpcEndpointAwsService.LAMBDA,
  SecretsManager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  Sqs: InterfaceVpcEndpointAwsService.SQS,
  Sts: InterfaceVpcEndpointAwsService.STS,
} as const;

const gateways = {
  DynamoDb: GatewayVpcEndpointAwsService.DYNAMODB,
  S3: GatewayVpcEndpointAwsService.S3,
} as const;

/** Ways from a network without the internet to the services that a rotation asks. */
export function addEndpoints(scope: Construct, network: Network | undefined): void {
  if (network === undefined) {
    throw new KeyturnError(
      "config-invalid",
      "endpoints are made in a network: name its VPC, or leave them out",
    );
  }
  const { vpc, subnets } = network;
  for (const [id, service] of Object.entries(interfaces)) {
    vpc.addInterfaceEndpoint(`${scope.node.id}${id}`, {
      service,
      ...(subnets === undefined ? {} : { subnets }),
    });
  }
  for (const [id, service] of Object.entries(gateways)) {
    vpc.addGatewayEndpoint(`${scope.node.id}${id}`, {
      service,
      ...(subnets === undefined ? {} : { subnets: [subnets] }),
    });
  }
}
