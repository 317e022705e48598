/**
 * What the parts of an installation on AWS are called. The names are fixed, so that functions, agents and people find a part without being told where it is, and
 * so that what outlives a stack can be taken up again by name.
 */
export function awsNames(installation: string) {
  const prefix = `keyturn-${installation}`;
  return {
    table: `${prefix}-journal`,
    bus: prefix,
    /** Names of buckets are unique on all of AWS. */
    auditBucket: (account: string, region: string) => `${prefix}-audit-${account}-${region}`,
    auditAlias: `alias/${prefix}-audit`,
    /** The secret that holds the keys of fingerprints. */
    fingerprints: `${prefix}/fingerprint-keys`,
    /** Where what happens outside is told, and what is ordered by hand. */
    incidents: `${prefix}-incidents`,
    /** The function that works on the secrets of a credential type. */
    rotating: (type: string) => `${prefix}-${type}`,
    /** Where work on them is ordered. */
    workQueue: (type: string) => `${prefix}-${type}-work`,
  };
}
