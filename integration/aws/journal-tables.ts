import {
  BatchWriteItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { inParallel } from "../../core/parallel.ts";
import type { Item, JournalTable } from "../../functions/journal-calls.ts";
import { journalTable } from "../../functions/journal-table.ts";

let made = 0;

/** A table for a journal, with nothing in it. */
export async function newJournalTable(config: DynamoDBClientConfig, called?: string): Promise<JournalTable> {
  made += 1;
  const client = new DynamoDBClient(config);
  const name = called ?? `journal-${process.pid}-${made}`;
  await client.send(new CreateTableCommand({ TableName: name, ...journalTable }));
  await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 0.05, maxDelay: 0.5 }, { TableName: name });
  return { client, name };
}

/** Puts items there as they are, faster than a journal would. */
export async function putAll({ client, name }: JournalTable, items: readonly Item[]): Promise<void> {
  const batches = Array.from({ length: Math.ceil(items.length / 25) }, (_, at) =>
    items.slice(at * 25, (at + 1) * 25),
  );
  const put = await inParallel(batches, 8, (batch) =>
    client.send(
      new BatchWriteItemCommand({
        RequestItems: { [name]: batch.map((Item) => ({ PutRequest: { Item } })) },
      }),
    ),
  );
  const failed = put.find(({ status }) => status === "rejected");
  if (failed !== undefined) throw new Error("not all of them were put", { cause: failed });
}
