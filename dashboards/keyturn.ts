import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface PanelRow {
  readonly title: string;
  readonly description: string;
  /** As Grafana names them: `s`, `short`, `percentunit`. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Whether it may go below zero. */
  readonly signed?: boolean;
}

interface StatRow extends PanelRow {
  /** From here on it is red. */
  readonly redFrom: number;
}

const chosen = 'keyturn_secret=~"$secret"';

/** After a restart of the service the series of both processes are there for a while: they are one secret's. */
const bySecret = (metric: string): string => `max by (keyturn_secret) (${metric}{${chosen}})`;

const quantiles = (metric: string, by: string, of: readonly number[]): readonly Query[] =>
  of.map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le${by === "" ? "" : `, ${by}`}) (rate(${metric}_bucket[$__rate_interval])))`,
    legend: `p${quantile * 100}${by === "" ? "" : ` {{${by}}}`}`,
  }));

const stats: readonly StatRow[] = [
  {
    title: "Halted",
    description: "Rotations that wait for a person. `keyturn status` says why.",
    unit: "short",
    redFrom: 1,
    queries: [{ expr: `sum(${bySecret("keyturn_secret_halted")})`, legend: "halted" }],
  },
  {
    title: "Debts",
    description: "Credentials that should be refused and are not yet proven so.",
    unit: "short",
    redFrom: 1,
    queries: [
      { expr: `sum(max by (keyturn_secret, keyturn_reason) (keyturn_debts{${chosen}}))`, legend: "debts" },
    ],
  },
  {
    title: "Oldest against its policy",
    description: "The greatest part of its allowed age that any credential has lived.",
    unit: "percentunit",
    redFrom: 1,
    queries: [
      {
        expr: `max(${bySecret("keyturn_credential_age_seconds")} / on (keyturn_secret) ${bySecret("keyturn_credential_max_age_seconds")})`,
        legend: "of the allowed age",
      },
    ],
  },
  {
    title: "Work waits",
    description: "How late the scheduler is.",
    unit: "s",
    redFrom: 60,
    queries: [{ expr: "max(keyturn_due_lag_seconds)", legend: "late by" }],
  },
];

const rows: readonly { readonly title: string; readonly panels: readonly PanelRow[] }[] = [
  {
    title: "Credentials",
    panels: [
      {
        title: "Oldest credentials",
        description: "Age of the current versions; the ten oldest.",
        unit: "s",
        queries: [
          { expr: `topk(10, ${bySecret("keyturn_credential_age_seconds")})`, legend: "{{keyturn_secret}}" },
        ],
      },
      {
        title: "Time left to the policy's greatest age",
        description: "Below zero the credential is too old; the ten that are next.",
        unit: "s",
        signed: true,
        queries: [
          {
            expr: `bottomk(10, ${bySecret("keyturn_credential_max_age_seconds")} - on (keyturn_secret) ${bySecret("keyturn_credential_age_seconds")})`,
            legend: "{{keyturn_secret}}",
          },
        ],
      },
      {
        title: "Debts by reason",
        description: "Credentials that should be refused and are not yet proven so.",
        unit: "short",
        queries: [
          {
            expr: `sum by (keyturn_reason) (max by (keyturn_secret, keyturn_reason) (keyturn_debts{${chosen}}))`,
            legend: "{{keyturn_reason}}",
          },
        ],
      },
      {
        title: "Age of the oldest debts",
        description: "How long a credential has been owed; the ten oldest.",
        unit: "s",
        queries: [
          { expr: `topk(10, ${bySecret("keyturn_debt_age_seconds")} > 0)`, legend: "{{keyturn_secret}}" },
        ],
      },
    ],
  },
  {
    title: "Rotations",
    panels: [
      {
        title: "Rotations by outcome",
        description: "Finished, undone, halted.",
        unit: "short",
        queries: [
          {
            expr: `sum by (keyturn_outcome) (increase(keyturn_rotations_total{${chosen}}[$__rate_interval]))`,
            legend: "{{keyturn_outcome}}",
          },
        ],
      },
      {
        title: "Secrets by phase",
        description: "Where the secrets are in their rotation.",
        unit: "short",
        queries: [{ expr: "sum by (keyturn_phase) (keyturn_secrets)", legend: "{{keyturn_phase}}" }],
      },
      {
        title: "Duration of steps",
        description: "By step, failed ones included.",
        unit: "s",
        queries: quantiles("keyturn_rotation_step_duration_seconds", "keyturn_step", [0.5, 0.95]),
      },
      {
        title: "Duration of rotations",
        description: "From the beginning to the end, grace included.",
        unit: "s",
        queries: quantiles("keyturn_rotation_duration_seconds", "", [0.5, 0.95]),
      },
      {
        title: "Rotations under way",
        description: "How long ago they began; the ten oldest.",
        unit: "s",
        queries: [
          {
            expr: `topk(10, max by (keyturn_secret, keyturn_phase) (keyturn_rotation_age_seconds{${chosen}}))`,
            legend: "{{keyturn_secret}} in {{keyturn_phase}}",
          },
        ],
      },
      {
        title: "Failed steps",
        description: "By step and code; most are tried again by themselves.",
        unit: "short",
        queries: [
          {
            expr: `sum by (keyturn_step, error_type) (increase(keyturn_failures_total{${chosen}}[$__rate_interval]))`,
            legend: "{{keyturn_step}}: {{error_type}}",
          },
        ],
      },
    ],
  },
  {
    title: "Fleets",
    panels: [
      {
        title: "Agents",
        description:
          "Live ones, those that have used the current version, and those that still have the old one.",
        unit: "short",
        queries: [
          {
            expr: `sum by (keyturn_state) (max by (keyturn_secret, keyturn_state) (keyturn_fleet_agents{${chosen}}))`,
            legend: "{{keyturn_state}}",
          },
        ],
      },
      {
        title: "Adoption",
        description: "From the announcement until every live agent had changed over.",
        unit: "s",
        queries: quantiles("keyturn_adoption_duration_seconds", "", [0.5, 0.95]),
      },
      {
        title: "Notification lag",
        description: "From the new version's becoming current to an agent's first use of it.",
        unit: "s",
        queries: quantiles("keyturn_notification_lag_seconds", "keyturn_fleet", [0.5, 0.99]),
      },
      {
        title: "Notifications",
        description: "To people, by channel and outcome.",
        unit: "short",
        queries: [
          {
            expr: "sum by (keyturn_channel, keyturn_outcome) (increase(keyturn_notifications_total[$__rate_interval]))",
            legend: "{{keyturn_channel}}: {{keyturn_outcome}}",
          },
        ],
      },
    ],
  },
];

/** The dashboard as Grafana imports it: one page on every secret, or on those that are chosen. */
export function keyturnDashboard(): Dashboard {
  const dashboard = new DashboardBuilder("Keyturn")
    .uid("keyturn")
    .description(
      "Rotation of credentials: what is too old, stuck, owed or failing, and how fast fleets change over.",
    )
    .tags(["keyturn", "security"])
    .time({ from: "now-24h", to: "now" })
    .refresh("1m")
    .timezone("browser")
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"))
    .withVariable(
      new QueryVariableBuilder("secret")
        .label("Secret")
        .datasource({ type: "prometheus", uid: "$datasource" })
        .query("label_values(keyturn_secret_halted, keyturn_secret)")
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue(".*"),
    );
  for (const row of stats) dashboard.withPanel(stat(row));
  for (const { title, panels } of rows) {
    dashboard.withRow(new RowBuilder(title));
    for (const panel of panels) dashboard.withPanel(timeseries(panel));
  }
  return dashboard.build();
}

function stat({ redFrom, ...row }: StatRow): StatBuilder {
  const thresholds = new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([
    { value: null, color: "green" },
    { value: redFrom, color: "red" },
  ]);
  return filled(new StatBuilder().height(4).span(6).thresholds(thresholds), row);
}

function timeseries(row: PanelRow): TimeseriesBuilder {
  const panel = filled(new TimeseriesBuilder().height(8).span(12), row);
  return row.signed === true ? panel : panel.min(0);
}

function filled<Builder extends StatBuilder | TimeseriesBuilder>(
  panel: Builder,
  { title, description, unit, queries }: PanelRow,
): Builder {
  panel.title(title).description(description).unit(unit);
  panel.datasource({ type: "prometheus", uid: "$datasource" });
  for (const [index, { expr, legend }] of queries.entries()) {
    const refId = String.fromCharCode("A".charCodeAt(0) + index);
    panel.withTarget(new DataqueryBuilder().refId(refId).expr(expr).legendFormat(legend).range());
  }
  return panel;
}
