interface AlertRow {
  readonly alert: string;
  readonly expr: string;
  /** How long it must be so. */
  readonly wait: string;
  readonly severity: "critical" | "warning";
  readonly summary: string;
  /** What a person does. */
  readonly description: string;
}

/** What a person must know of, most urgent first. Thresholds are for a platform whose grace window is a day at most. */
export const alertRows: readonly AlertRow[] = [
  {
    alert: "KeyturnLeakedCredentialAccepted",
    expr: 'max by (keyturn_secret) (keyturn_debts{keyturn_reason="leaked"}) > 0',
    wait: "2m",
    severity: "critical",
    summary: "A leaked credential of {{ $labels.keyturn_secret }} is not proven refused",
    description: "Run `keyturn debts {{ $labels.keyturn_secret }}` and look at the target.",
  },
  {
    alert: "KeyturnRotationHalted",
    expr: "max by (keyturn_secret, error_type) (keyturn_secret_halted) == 1",
    wait: "0m",
    severity: "critical",
    summary: "{{ $labels.keyturn_secret }} is halted: {{ $labels.error_type }}",
    description:
      "Run `keyturn status {{ $labels.keyturn_secret }}`, do what it says, then `keyturn resume {{ $labels.keyturn_secret }}`.",
  },
  {
    alert: "KeyturnCredentialTooOld",
    expr: "max by (keyturn_secret) (keyturn_credential_age_seconds) > on (keyturn_secret) max by (keyturn_secret) (keyturn_credential_max_age_seconds)",
    wait: "15m",
    severity: "warning",
    summary: "{{ $labels.keyturn_secret }} is older than its policy allows",
    description: "Run `keyturn status {{ $labels.keyturn_secret }}`; `keyturn rotate` makes a new version.",
  },
  {
    alert: "KeyturnDebtUnpaid",
    expr: "max by (keyturn_secret) (keyturn_debt_age_seconds) > 3600",
    wait: "5m",
    severity: "warning",
    summary:
      "A credential of {{ $labels.keyturn_secret }} should be refused for an hour, and is not yet proven so",
    description: "Run `keyturn debts {{ $labels.keyturn_secret }}` and look at the target.",
  },
  {
    alert: "KeyturnRotationTakesTooLong",
    expr: "max by (keyturn_secret, keyturn_phase) (keyturn_rotation_age_seconds) > 2 * 86400",
    wait: "15m",
    severity: "warning",
    summary:
      "{{ $labels.keyturn_secret }} has been in a rotation for two days; it is in {{ $labels.keyturn_phase }}",
    description:
      "Run `keyturn status {{ $labels.keyturn_secret }}`: it names who still uses the old version.",
  },
  {
    alert: "KeyturnNotificationsFail",
    expr: 'sum by (keyturn_channel) (increase(keyturn_notifications_total{keyturn_outcome!="delivered"}[15m])) > 0',
    wait: "5m",
    severity: "warning",
    summary: "Notifications to {{ $labels.keyturn_channel }} do not arrive",
    description: "Run `keyturn notify test {{ $labels.keyturn_channel }}`.",
  },
  {
    alert: "KeyturnWorkWaits",
    expr: "max(keyturn_due_lag_seconds) > 300",
    wait: "10m",
    severity: "warning",
    summary: "Work that is due has waited for more than five minutes",
    description: "Look at the log of `keyturn serve`: its worker is stuck, or the journal cannot be read.",
  },
  {
    alert: "KeyturnIsSilent",
    expr: "absent(keyturn_due_lag_seconds)",
    wait: "10m",
    severity: "critical",
    summary: "No `keyturn serve` sends measurements",
    description:
      "Start `keyturn serve`; while it is down nothing rotates by itself, and agents read nothing new.",
  },
];

/** The rules in the form in which Prometheus reads them. */
export function alertRules(): object {
  const rules = alertRows.map(({ alert, expr, wait, severity, summary, description }) => ({
    alert,
    expr,
    for: wait,
    labels: { severity },
    annotations: { summary, description },
  }));
  return { groups: [{ name: "keyturn", rules }] };
}
