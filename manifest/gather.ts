import type { Shape } from "./check-shape.ts";
import { type FieldPath, formatPlace, type Problem } from "./problem.ts";
import type { FileContent } from "./schema.ts";
import type { PolicyContent } from "./schema-policy.ts";
import type { YamlFile } from "./yaml-file.ts";

type SectionName = "stores" | "secrets" | "notify" | "people";
type ContentOf<Name extends SectionName> = NonNullable<FileContent[Name]>[string];

/** An entry of a section, and where it stands. */
export interface Entry<Content> {
  readonly name: string;
  readonly content: Content;
  /** The file that it stands in: what its paths are relative to. */
  readonly file: string;
  /** The fields that its schema refused: they are missing from the content, and were told already. */
  readonly refused: ReadonlySet<string>;
  /** A problem with a field of the entry, or with its name, or with the entry. */
  problem(field: FieldPath, message: string, part?: "value" | "name"): Problem;
}

/** A section of all files together. */
export interface Section<Content> {
  /** The entries, without the fields that their schema refused. */
  readonly entries: readonly Entry<Content>[];
  /** The names of all entries, well-formed or not, so that a reference to a broken entry is not called dangling. */
  readonly names: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

/** Puts the entries of all files together. A name that stands in two files is a problem, and the first one counts. */
export function gather<Name extends SectionName>(
  section: Name,
  files: readonly { readonly file: YamlFile; readonly shape: Shape }[],
): Section<ContentOf<Name>> {
  const first = new Map<string, Problem>();
  const entries: Entry<ContentOf<Name>>[] = [];
  const problems: Problem[] = [];
  for (const { file, shape } of files) {
    const contents = new Map<string, ContentOf<Name>>(Object.entries(shape.content[section] ?? {}));
    for (const name of namesIn(file, section)) {
      const place = file.problem([section, name], "", "name");
      const earlier = first.get(name);
      if (earlier !== undefined) {
        problems.push({ ...place, message: `stands already at ${formatPlace(earlier)}` });
        continue;
      }
      first.set(name, place);
      const faults = faultsOf(shape, section, name);
      const content = contents.get(name);
      if (content !== undefined) {
        const refused = new Set(faults.map((field) => String(field[2])));
        const problem: Entry<unknown>["problem"] = (field, message, part) =>
          file.problem([section, name, ...field], message, part);
        entries.push({ name, content, file: file.path, refused, problem });
      } else if (faults.length === 0) {
        // Nothing is dropped without a word, not even `__proto__`, which the schema passes over.
        problems.push({ ...place, message: "cannot be the name of anything" });
      }
    }
  }
  return { entries, names: new Set(first.keys()), problems };
}

/** The policies of all files, in the order in which they are read. */
export function gatherPolicies(
  files: readonly { readonly file: YamlFile; readonly shape: Shape }[],
): readonly Entry<PolicyContent>[] {
  return files.flatMap(({ file, shape }) =>
    (shape.content.policies ?? []).map((content, index) => ({
      name: content.match,
      content,
      file: file.path,
      refused: new Set<string>(),
      problem: (field, message, part) => file.problem(["policies", index, ...field], message, part),
    })),
  );
}

/** What the schema found wrong in an entry, or with the section as a whole. */
function faultsOf(shape: Shape, section: SectionName, name: string): readonly FieldPath[] {
  return shape.problems
    .map(({ field }) => field)
    .filter(([at, entry]) => at === section && (entry === undefined || entry === name));
}

function namesIn(file: YamlFile, section: SectionName): readonly string[] {
  const { [section]: found }: { readonly [Key in SectionName]?: unknown } = Object(file.value);
  return Object.keys(Object(found));
}
