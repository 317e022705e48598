import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import * as z from "zod/mini";
import type { Journal } from "../core/ports.ts";
import {
  allOf,
  asking,
  getAll,
  type Item,
  type JournalTable,
  query,
  readItem,
  text,
} from "./journal-calls.ts";
import { fingerprintKey, placeKey, placePrefix } from "./journal-table.ts";

const PlaceItem = z.object({ ref: text, version: text, field: text });
const KnownItem = z.object({ fingerprint: text });

/**
 * Where a fingerprint was seen are items of its partition, and one more says that there are any. A leaked text has thousands of readings, of
 * which mostly one is known: they are asked for by the hundred, and only of what is known the places are read.
 */
export function fingerprintsIn(table: JournalTable): Pick<Journal, "remember" | "identify"> {
  const put = (Item: Item) => table.client.send(new PutItemCommand({ TableName: table.name, Item }));
  return {
    remember: async (ref, version, fields) => {
      await asking(`remembering the fingerprints of ${ref}`, async () => {
        await allOf(Object.entries(fields), ([field, fingerprint]) =>
          put({
            ...placeKey(fingerprint, ref, version, field),
            ref: { S: ref },
            version: { S: version },
            field: { S: field },
          }),
        );
        // After its places: whoever is stopped between the two remembers again, and nobody finds what has no place.
        await allOf([...new Set(Object.values(fields))], (fingerprint) =>
          put({ ...fingerprintKey(fingerprint), fingerprint: { S: fingerprint } }),
        );
      });
    },
    identify: (fingerprints) =>
      asking("looking for fingerprints", async () => {
        const known = await getAll(table, [...new Set(fingerprints)].map(fingerprintKey));
        const places = await allOf(known, (item) => {
          const { fingerprint } = readItem(KnownItem, item);
          return query(
            table,
            { attribute: "pk", value: fingerprintKey(fingerprint.S).pk.S },
            {
              ConsistentRead: true,
              KeyConditionExpression: "begins_with(sk, :place)",
              ExpressionAttributeValues: { ":place": { S: placePrefix } },
            },
          );
        });
        return places.flat().map((item) => {
          const { ref, version, field } = readItem(PlaceItem, item);
          return { ref: ref.S, version: version.S, field: field.S };
        });
      }),
  };
}
