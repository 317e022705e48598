import { crc32 } from "node:zlib";

interface Entry {
  readonly name: Buffer;
  readonly data: Buffer;
  /** What the two headers of a file have in common. */
  readonly facts: Buffer;
  readonly offset: number;
}

/** Version 2.0 of the format; names are UTF-8; stored as it is; the first day that the format knows. */
const version = 20;
const utf8 = 0x0800;
const firstDay = 0x0021;

/** An archive of a few small files, by name: what Lambda takes a function's code as. */
export function zip(files: Readonly<Record<string, string>>): Buffer {
  const entries: Entry[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, data] = [Buffer.from(path), Buffer.from(text)];
    const facts = Buffer.concat([
      short(version, utf8, 0, 0, firstDay),
      long(crc32(data), data.length, data.length),
      short(name.length, 0),
    ]);
    entries.push({ name, data, facts, offset });
    offset += 4 + facts.length + name.length + data.length;
  }
  const contents = entries.map(({ name, data, facts }) =>
    Buffer.concat([long(0x04034b50), facts, name, data]),
  );
  const directory = Buffer.concat(
    entries.map((entry) =>
      Buffer.concat([
        long(0x02014b50),
        short(version),
        entry.facts,
        short(0, 0, 0),
        long(0, entry.offset),
        entry.name,
      ]),
    ),
  );
  const end = [
    long(0x06054b50),
    short(0, 0, entries.length, entries.length),
    long(directory.length, offset),
    short(0),
  ];
  return Buffer.concat([...contents, directory, ...end]);
}

function short(...numbers: readonly number[]): Buffer {
  return Buffer.concat(numbers.map((number) => Buffer.from([number & 0xff, number >> 8])));
}

function long(...numbers: readonly number[]): Buffer {
  return Buffer.concat(
    numbers.map((number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(number);
      return bytes;
    }),
  );
}
