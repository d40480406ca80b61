/** Under which scopes the migrations of a view's schema are recorded: what stands beside its rows, and the rows. */
export const viewScopes = (schema: string): readonly [beside: string, rows: string] => [
  `${schema}.projection`,
  schema,
];
