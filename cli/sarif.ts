import type { LintFinding } from "../manifest/lint.ts";
import { shortPath } from "../manifest/problem.ts";

/** What of a rule a viewer of findings shows. */
interface DescribedRule {
  readonly id: string;
  readonly finds: string;
  readonly remedy: string;
}

/** Findings in the form that CI systems read: SARIF 2.1.0, an OASIS standard. Files are named as seen from the working directory. */
export function sarif(version: string, rules: readonly DescribedRule[], findings: readonly LintFinding[]) {
  return {
    $schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "keyturn lint",
            semanticVersion: version,
            rules: rules.map(({ id, finds, remedy }) => ({
              id,
              shortDescription: { text: finds },
              help: { text: `What to do: ${remedy}.` },
            })),
          },
        },
        columnKind: "utf16CodeUnits",
        results: findings.map((finding) => ({
          ruleId: finding.rule,
          ruleIndex: rules.findIndex(({ id }) => id === finding.rule),
          level: finding.severity,
          message: { text: `${finding.message}. What to do: ${finding.remedy}.` },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: uriOf(finding.file) },
                region: { startLine: finding.line, startColumn: finding.column },
              },
              ...(finding.secret === undefined
                ? {}
                : { logicalLocations: [{ fullyQualifiedName: finding.secret, kind: "secret" }] }),
            },
          ],
        })),
      },
    ],
  } as const;
}

/** A path as the relative reference of a URI, or as a URI where it lies elsewhere. */
function uriOf(file: string): string {
  const path = shortPath(file).replaceAll("\\", "/");
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${encoded}` : encoded;
}
