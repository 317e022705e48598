import { CreateTableCommand, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { expect, test } from "vitest";
import { startDynamodbLocal } from "./dynamodb-local.ts";

const once = {
  TableName: "records",
  Item: { pk: { S: "one" } },
  ConditionExpression: "attribute_not_exists(pk)",
} as const;

test("writes only where the condition holds", async () => {
  await using dynamodb = await startDynamodbLocal();
  const client = new DynamoDBClient(dynamodb.config);
  await client.send(
    new CreateTableCommand({
      TableName: once.TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    }),
  );
  await client.send(new PutItemCommand(once));
  await expect(client.send(new PutItemCommand(once))).rejects.toMatchObject({
    name: "ConditionalCheckFailedException",
  });
  client.destroy();
});

test("is gone when it is over, and another one is not", async () => {
  await using first = await startDynamodbLocal();
  const second = await startDynamodbLocal();
  await second[Symbol.asyncDispose]();
  await expect(fetch(second.endpoint)).rejects.toThrow();
  // Its way to say that it was no request of DynamoDB's.
  expect((await fetch(first.endpoint)).status).toBe(400);
});
