/** What is said of a secret in the manifest beside where it is. */
interface Said {
  readonly fleets?: readonly string[];
  readonly cacheTtl?: string;
  readonly grace?: Readonly<Record<string, string>>;
}

/** Short enough to be waited for; nobody has to release what nobody reads. */
const soon: Said = { cacheTtl: "1s", grace: { atLeast: "1s", atMost: "4s", onLaggards: "retire" } };

/** The databases' secrets of the installation. Each test has secrets of its own, with a role and a way to the server of their own. */
export const databases: Readonly<Record<string, Said>> = {
  "ordered/db": soon,
};

/** The keys of users of IAM. */
export const users: Readonly<Record<string, Said>> = {
  "leaked/key": soon,
};

/** What the administering login of a secret is called. */
export function adminOf(ref: string): string {
  return `${ref}-admin`;
}
